//! Chains: behind a refusal nothing is stored, and what is stored keeps the sender's order.

use std::collections::BTreeMap;

use restante_spec::codes::Code;
use restante_spec::ids::Seq;
use restante_spec::message::Appended;

use super::Place;

/// The chains of one connection.
#[derive(Default)]
pub(crate) struct Chains(BTreeMap<(Place, u32), Vec<Link>>);

/// One append in a chain, as far as it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Waiting,
    New(Seq),
    Already,
    Refused,
    Aborted,
}

impl Chains {
    /// An append is sent; its place in the chain.
    pub(crate) fn sends(&mut self, place: Place, chain: u32) -> usize {
        let links = self.0.entry((place, chain)).or_default();
        links.push(Link::Waiting);
        links.len() - 1
    }

    /// An append is answered.
    pub(crate) fn answered(
        &mut self,
        place: Place,
        chain: u32,
        at: usize,
        answer: &Result<Appended, Code>,
    ) {
        let links = self.0.get_mut(&(place, chain)).expect("a chain that was sent");
        links[at] = match answer {
            Ok(said) if said.already => Link::Already,
            Ok(said) => Link::New(said.seq),
            Err(Code::Aborted) => Link::Aborted,
            Err(_) => Link::Refused,
        };
        let mut broken = false;
        let mut last = Seq::START;
        for link in links.iter() {
            match link {
                Link::New(seq) => {
                    assert!(!broken, "MBX-6: {seq} was accepted behind a refusal: {links:?}");
                    assert!(*seq > last, "MBX-6: {seq} comes behind {last}: {links:?}");
                    last = *seq;
                }
                Link::Refused | Link::Aborted => broken = true,
                Link::Waiting | Link::Already => {}
            }
        }
        let before = &links[..at];
        let may_abort = before.iter().any(|link| !matches!(link, Link::New(_) | Link::Already));
        assert!(links[at] != Link::Aborted || may_abort, "MBX-6: aborted for nothing: {links:?}");
    }
}

//! Prekeys: each is given at most once, and a repeated request gets its answer again.

use std::collections::BTreeMap;

use bytes::Bytes;
use restante_spec::ids::RequestId;
use restante_spec::limits;

use super::{Ledger, Moment, Place};

#[derive(Default)]
pub(super) struct Prekeys {
    /// What was put, and whom it was given to.
    packages: BTreeMap<Bytes, Option<RequestId>>,
    last_resorts: Vec<Bytes>,
    /// What a request was given, and when it was first sent.
    given: BTreeMap<RequestId, (Bytes, Moment)>,
}

impl Ledger {
    /// Packages are sent.
    pub(crate) fn putting(&mut self, place: Place, packages: &[Bytes], last_resort: bool) {
        let prekeys = &mut self.log(place).prekeys;
        if last_resort {
            prekeys.last_resorts.extend_from_slice(packages);
        } else {
            prekeys.packages.extend(packages.iter().map(|package| (package.clone(), None)));
        }
    }

    /// A package was given (CMD-14).
    pub(crate) fn took(
        &mut self,
        place: Place,
        request: RequestId,
        package: &Bytes,
        last_resort: bool,
        first_sent: Moment,
    ) {
        let latest = self.latest;
        self.seen.prekeys += 1;
        let prekeys = &mut self.log(place).prekeys;
        let window = u64::from(limits::TAKE_REPEAT.get());
        if let Some((before, since)) = prekeys.given.get(&request) {
            let over = latest >= since.time + window;
            assert!(before == package || over, "CMD-14: one request is given two packages");
        }
        prekeys.given.insert(request, (package.clone(), first_sent));
        if last_resort {
            assert!(prekeys.last_resorts.contains(package), "nobody put this last resort");
            return;
        }
        let given = prekeys.packages.get_mut(package).expect("nobody put this package");
        assert!(given.is_none_or(|given| given == request), "CMD-14: a package is given twice");
        *given = Some(request);
    }
}

//! Tests of commits that change what their own leaf says.

use openmls::prelude::{BasicCredential, CredentialWithKey, LeafNodeParameters, NewSignerBundle};
use openmls_traits::OpenMlsProvider;
use restante_spec::ids::ReaderHash;

use super::super::leaf::{credential, extensions};
use super::super::provider::{MlsSigner, Provider};
use super::*;

/// A commit of Alice's that gives her leaf another key, credential or reader, as a record.
fn another_leaf(
    pair: &mut Pair,
    key: &DeviceKey,
    credential_with_key: CredentialWithKey,
    reader: &ReaderHash,
) -> Vec<u8> {
    let Pair { alice, a, .. } = pair;
    let (provider, signer) = (Provider::new(&alice.store), MlsSigner(key));
    let leaf = LeafNodeParameters::builder().with_extensions(extensions(reader).unwrap());
    let bundle = a
        .group
        .commit_builder()
        .leaf_node_parameters(leaf.build())
        .load_psks(&alice.store)
        .unwrap()
        .build_with_new_signer(
            provider.rand(),
            provider.crypto(),
            &MlsSigner(&alice.key),
            NewSignerBundle { signer: &signer, credential_with_key },
            |_| true,
        )
        .unwrap()
        .stage_commit(&provider)
        .unwrap();
    let message = bundle.into_messages().0.to_bytes().unwrap();
    a.seal(&alice.own(), &at(1, 1), &message).unwrap()
}

/// CNV-5: once a commit could make its own leaf a stranger's, nobody's, or give it another's
/// reader, and it showed neither as added nor as removed.
#[test]
fn leaf_stays_the_member_it_came_as() {
    let carol = Device::new(3, 1);
    for case in ["as it was", "a stranger's", "nobody's", "another's reader"] {
        let mut pair = pair(Suite::Classical);
        let key = DeviceKey::from_seed(&pair.alice.key.seed());
        let own = credential(&key, &pair.alice.certificate).unwrap();
        let reader = pair.a.own_reader().unwrap();
        let others = pair.b.own_reader().unwrap();
        let record = match case {
            "a stranger's" => {
                let hers = credential(&carol.key, &carol.certificate).unwrap();
                another_leaf(&mut pair, &carol.key, hers, &reader)
            }
            "nobody's" => {
                let nobody = BasicCredential::new(b"nobody".to_vec()).into();
                another_leaf(
                    &mut pair,
                    &key,
                    CredentialWithKey { credential: nobody, ..own },
                    &reader,
                )
            }
            "another's reader" => another_leaf(&mut pair, &key, own, &others),
            _ => another_leaf(&mut pair, &key, own, &reader),
        };
        let before = pair.b.members();
        let read = pair.b.process(&pair.bob.store, &at(1, 1), &record).unwrap();
        let is_fit = match &read {
            Processed::Commit { .. } => case == "as it was",
            Processed::Refused(Error::Unsupported { .. }) => case != "as it was",
            _ => false,
        };
        assert!(is_fit, "{case}: {read:?}");
        assert_eq!(pair.b.members(), before);
    }
}

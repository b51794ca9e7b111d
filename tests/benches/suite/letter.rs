//! Letters: sealing to an account's devices, and opening.

use std::hint::black_box;

use restante_crypto::{
    AccountKey, DeviceKey, DeviceNumber, KemSecret, Letter, LetterKeys, LetterPlace, Recipient,
};
use restante_spec::ids::{EnvelopeId, MailboxId, UnixTime};

use super::micro::time;
use super::report::Report;

/// Measures both directions.
pub fn run(rounds: usize, report: &mut Report) {
    let now = UnixTime::new(1_000);
    let device = |seed: u8| {
        let (account, key) =
            (AccountKey::from_seed(&[seed; 32]), DeviceKey::from_seed(&[seed; 32]));
        let number = DeviceNumber::new(1);
        let certificate = account.certify(&key.public(), number, now, "device").expect("certified");
        (account, key, certificate)
    };
    let (_, alice, alices) = device(1);
    let (bobs_account, bob, bobs) = device(2);
    let secret = KemSecret::from_seed(&[3; 32]);
    let letter_key = bob.sign_letter_key(&secret.public(), now);
    let list = bobs_account.sign_list(1, &[(bobs, letter_key)]).expect("a list");
    let place = LetterPlace { inbox: MailboxId::new([4; 16]), envelope: EnvelopeId::new([5; 16]) };
    let letter = Letter {
        sender: &alice,
        certificate: &alices,
        number: 1,
        recipient: Recipient::Account(&list),
        place,
        content: &[0x5a; 1_024],
    };
    let sealed = letter.seal().expect("sealed");
    let seal = time(rounds, 10, || drop(black_box(letter.seal().expect("sealed"))));
    report.note("micro.letter_seal_us", seal / 1e3, "us", None);
    let secrets = [&secret];
    let keys = LetterKeys::Account(bobs_account.id(), &secrets);
    let open = time(rounds, 10, || {
        drop(black_box(
            restante_crypto::OpenedLetter::open(&sealed, keys, &place).expect("opened"),
        ));
    });
    report.note("micro.letter_open_us", open / 1e3, "us", None);
}

//! `init`: an account in a home, and what it means for who looks after that home.

use restante_client::Error;

use crate::args::Init;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::home::{Home, KeptIn};
use crate::json::AccountLine;
use crate::output::Output;

/// Makes the account and tells its relay.
pub(super) async fn run(
    args: &Init,
    home: &Home,
    offline: bool,
    out: Output,
) -> Result<(), Failure> {
    let entrance = args.entrance();
    let relay = &entrance.address;
    let (client, kept) = home.create(&entrance, &args.name)?;
    let mut desk = Desk::start(client, out, offline)?;
    let told = desk.collect().await;
    let account = desk.client.own_id().await?;
    desk.client.shutdown().await?;

    let path = home.path().display();
    out.object(&AccountLine {
        account: account.to_string(),
        name: &args.name,
        relay: relay.to_string(),
        home: path.to_string(),
        key: match kept {
            KeptIn::Passphrase => "passphrase",
            KeptIn::File => "file",
        },
    });
    let place = format!("{}:{}", relay.host(), relay.port());
    out.say(&format!("You are {} now, with your letters kept at {place}.", args.name));
    out.say(&format!("Your account lives in {path}, encrypted."));
    out.say(match kept {
        KeptIn::Passphrase => {
            "It opens with your passphrase and with nothing else: if you forget it, everything in\n\
             it is lost."
        }
        KeptIn::File => {
            "It opens with the random key in its file `key`, which only your user can read: who\n\
             copies the whole folder can read everything, and without that file everything in it\n\
             is lost. For a passphrase instead, give init --passphrase-file FILE or the variable\n\
             RESTANTE_PASSPHRASE."
        }
    });
    match told {
        Ok(_) if offline => out.say("Next, with the network: restante sync"),
        Ok(_) => out.say("Next: restante invite, or restante accept LINK"),
        // The account is there all the same; the relay hears of it later.
        Err(failure) if failure.code == Error::Unreachable(String::new()).code() => {
            out.warn(&format!("{}; try restante sync later", failure.text));
        }
        Err(failure) if needs_token(failure.code) => {
            return Err(failure.and("\nThe account was made and waits for it."));
        }
        Err(failure) => {
            let more = format!("\nThe account was made; to begin anew, remove {path}");
            return Err(failure.and(&more));
        }
    }
    Ok(())
}

/// Whether a token is all that is missing.
fn needs_token(code: &str) -> bool {
    [Error::TokenNeeded, Error::TokenRefused].iter().any(|error| error.code() == code)
}

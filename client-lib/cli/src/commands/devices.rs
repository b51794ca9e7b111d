//! `device ...`: a code on one screen, a number on both, and a device more.

use restante_client::Error;

use crate::args::{DeviceCommand, NewDevice};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::home::Home;
use crate::json::{CheckLine, CodeLine, DeviceLine};
use crate::output::Output;
use crate::text;

/// Makes a device that is to be linked, and shows what the first device needs.
pub(super) async fn new(args: &NewDevice, home: &Home, out: Output) -> Result<(), Failure> {
    let (client, _) = home.link(&args.entrance())?;
    let mut desk = Desk::start(client, out, false)?;
    let shown = show_code(&mut desk).await;
    let closed = desk.client.shutdown().await;
    shown.and(closed.map_err(Failure::from))
}

/// Throws this device's keys away and shows what the first device needs to link it anew.
async fn relink(args: &NewDevice, desk: &mut Desk) -> Result<(), Failure> {
    desk.client.relink(args.entrance()).await?;
    show_code(desk).await
}

async fn show_code(desk: &mut Desk) -> Result<(), Failure> {
    let out = desk.out;
    let reached = desk.collect().await;
    let code = desk.client.link_code().await?.ok_or(Error::NoLink)?;
    out.object(&CodeLine { code: &code });
    out.say(&code);
    out.qr(&code);
    out.say("On your first device: restante device link CODE\nThen here: restante device confirm");
    reached.map(drop).map_err(|failure| {
        failure.and("; the code can be used when restante sync has reached the relay")
    })
}

/// Does what needs a home.
pub(super) async fn run(command: &DeviceCommand, desk: &mut Desk) -> Result<(), Failure> {
    match command {
        DeviceCommand::Link { code, label } => link(code, label, desk).await,
        DeviceCommand::Confirm { equal, different } => confirm(*equal, *different, desk).await,
        DeviceCommand::Relink(args) => relink(args, desk).await,
        DeviceCommand::List => list(desk).await,
        DeviceCommand::Remove { number } => remove(*number, desk).await,
        // Needs no home and was done before.
        DeviceCommand::New(_) => Ok(()),
    }
}

async fn link(code: &str, label: &str, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let check = desk.client.link_device(code.trim(), label).await?;
    let told = desk.collect().await;
    desk.out.object(&CheckLine { check: &check });
    desk.out.say(&format!(
        "{check}\nThe new device must show the same number with: restante device confirm\n\
         If it shows another, find it in restante device list, and: restante device remove NUMBER"
    ));
    told.map(drop).map_err(|failure| failure.and("; restante sync tells the new device later"))
}

async fn confirm(equal: bool, different: bool, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    let check = desk.client.link_check().await?.ok_or(Error::NoLink)?;
    desk.out.object(&CheckLine { check: &check });
    if different {
        desk.client.refuse_link().await?;
        desk.out.say(
            "What came was forgotten. Begin again: with restante device relink where there is\n\
             history, else with a new home.",
        );
    } else if equal {
        desk.client.finish_link().await?;
        desk.collect().await?;
        desk.out.say(
            "This device is yours now. Contacts, conversations and history come when your first\n\
             device runs restante sync, and this one after it: restante history shows how far\n\
             they are.",
        );
    } else {
        desk.out.say(&format!(
            "{check}\nIf your first device shows the same: restante device confirm --equal\n\
             If it does not: restante device confirm --different"
        ));
    }
    Ok(())
}

async fn list(desk: &Desk) -> Result<(), Failure> {
    for device in desk.client.devices().await? {
        desk.out.object(&DeviceLine::from(&device));
        let this = if device.is_this { "  this one" } else { "" };
        desk.out.say(&format!("{:>3}  {}{this}", device.number, text::one_line(&device.label)));
    }
    Ok(())
}

async fn remove(number: u32, desk: &mut Desk) -> Result<(), Failure> {
    desk.collect().await?;
    desk.client.remove_device(number).await?;
    let told = desk.collect().await;
    desk.out.say(&format!("Device {number} was removed and learns nothing more."));
    told.map(drop).map_err(|failure| failure.and("; restante sync tells the others later"))
}

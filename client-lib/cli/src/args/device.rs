//! What can be said about the devices of one person.

use clap::{Args, Subcommand};
use restante_client::{AdmissionToken, Entrance};

use super::entrance;

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// On a new device: makes a home that is to be linked, and shows its code.
    New(NewDevice),
    /// On your first device: takes the device in that shows this code.
    Link {
        /// The code.
        code: String,
        /// What you call the new device.
        #[arg(long, value_name = "NAME", default_value = "")]
        label: String,
    },
    /// On a new device: shows the number to compare, or says what came of comparing it.
    Confirm {
        /// Both devices show the same number: this one is yours from now on.
        #[arg(long, conflicts_with = "different")]
        equal: bool,
        /// They do not: what came is forgotten.
        #[arg(long)]
        different: bool,
    },
    /// On a device that was copied or removed: begins to link it anew, in the same home.
    Relink(NewDevice),
    /// Lists your devices.
    List,
    /// On your first device: removes another one, which learns nothing more.
    Remove {
        /// Its number in the list.
        number: u32,
    },
}

/// Where the new device can be reached until it is linked.
#[derive(Args, Debug)]
pub(crate) struct NewDevice {
    /// The relay of your account, or any other.
    #[arg(long, value_name = "ADDRESS")]
    relay: Entrance,
    /// The token the relay's operator gave you, where one is needed.
    #[arg(long, value_name = "TOKEN")]
    token: Option<AdmissionToken>,
}

impl NewDevice {
    /// Where the device comes in.
    pub(crate) fn entrance(&self) -> Entrance {
        entrance(&self.relay, self.token.as_ref())
    }
}

//! Generated messages that hold secrets are wiped when dropped, however reading or writing ends.

use zeroize::Zeroize;

use super::wire;

/// Wipes these fields of a generated message when it is dropped.
macro_rules! wiped {
    ($($message:ident: $($field:ident),+;)+) => {$(
        impl Drop for wire::$message {
            fn drop(&mut self) {
                $(self.$field.zeroize();)+
            }
        }
    )+};
}

wiped! {
    Content: body;
    Letter: body;
    Attachment: read_key, file_key;
    SyncRecord: value;
    BlobRef: read_key, key;
    InboxGrant: key;
    ContactState: own_key, invite;
    InviteState: link, secret;
    ConversationState: own_key;
}

//! Bytes from a client that are refused, written by hand: no encoder of ours makes them.

use restante_spec::codes::Code;
use restante_spec::limits;

use super::Bad;

/// Every sequence of bytes that is refused.
pub(crate) fn bad() -> Vec<Bad> {
    let mut all = bad_lengths();
    all.extend(bad_headers());
    all.extend(bad_fields());
    all.push(bad_blob());
    all
}

/// Only what is needed to judge the lengths: the rest has not arrived (FRM-2).
fn bad_lengths() -> Vec<Bad> {
    let lengths = |length: u32, header: u16| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(header.to_be_bytes());
        bytes
    };
    let closing = |name, rule, expect, comment, frame| Bad {
        name,
        rule,
        expect,
        comment,
        frame,
        number: 0,
        closes: true,
    };
    vec![
        closing(
            "fail_frame_too_large",
            "FRM-2, FRM-3, LIM-1",
            Code::TooLarge,
            "one byte more than header and body may have together: judged on four bytes",
            65_827_u32.to_be_bytes().to_vec(),
        ),
        closing(
            "fail_header_too_large",
            "FRM-2, FRM-3, LIM-1",
            Code::TooLarge,
            "a header of 1025 bytes, none of which has arrived",
            lengths(1_027, 1_025),
        ),
        closing(
            "fail_body_too_large",
            "FRM-2, FRM-3, LIM-1",
            Code::TooLarge,
            "a body of 64801 bytes, none of which has arrived",
            lengths(64_805, 2),
        ),
        closing(
            "fail_lengths_contradict",
            "FRM-2, FRM-3",
            Code::Malformed,
            "a header of 9 bytes in a frame that has 8 left for it",
            lengths(10, 9),
        ),
        closing(
            "fail_no_room_for_the_header_length",
            "FRM-2, FRM-3",
            Code::Malformed,
            "a frame without room for the header's length",
            1_u32.to_be_bytes().to_vec(),
        ),
    ]
}

fn bad_headers() -> Vec<Bad> {
    let unknown = Code::Unsupported;
    vec![
        bad_header(
            "fail_header_is_no_message",
            "FRM-4",
            Code::Malformed,
            "no protobuf message",
            &[0xff, 0xff],
            0,
        ),
        bad_header(
            "fail_field_is_cut_off",
            "FRM-4",
            Code::Malformed,
            "a field that announces more bytes than the header has",
            &[0x08, 0x02, 0x1a, 0x05],
            0,
        ),
        bad_header(
            "fail_number_is_zero",
            "FRM-4",
            Code::Malformed,
            "a ping without a number",
            &[0x1a, 0x00],
            0,
        ),
        bad_header(
            "fail_unknown_command",
            "FRM-5",
            unknown,
            "a field of a later version where the command should be",
            &[0x08, 0x05, 0xfa, 0x07, 0],
            5,
        ),
        bad_header(
            "fail_no_command",
            "FRM-5",
            unknown,
            "a number and no command",
            &[0x08, 0x05],
            5,
        ),
        bad_header(
            "fail_unknown_class",
            "FRM-5, MBX-2",
            unknown,
            "an append whose class is 9: read far enough to be answered by its number",
            &bytes_of_append(9),
            9,
        ),
    ]
}

fn bad_fields() -> Vec<Bad> {
    // Fields of `revoke`: handle, and a key of 31 bytes.
    let mut short_key = vec![0x08, 0x07, 0x42, 0x23, 0x08, 0x01, 0x12, 0x1f];
    short_key.extend([0x23; 31]);
    // Of `create`: mailbox, class, key, possession, reader, and a token of 15 bytes.
    let mut fields = vec![0x0a, 0x10];
    fields.extend([0x11; 16]);
    fields.extend([0x10, 0x01, 0x1a, 0x20]);
    fields.extend([0x22; 32]);
    fields.extend([0x22, 0x40]);
    fields.extend([0x33; 64]);
    fields.extend([0x2a, 0x20]);
    fields.extend([0x44; 32]);
    fields.extend([0x3a, 0x0f]);
    fields.extend([0x77; 15]);
    let mut create = vec![0x08, 0x08];
    create.extend(nested(0x22, &fields));
    // Of `append`: a commit with 17 hashes in `add_readers`.
    let mut readers = Vec::new();
    for _ in 0..=limits::COMMIT_READERS {
        readers.extend([0x1a, 0x20]);
        readers.extend([0x44; 32]);
    }
    // Of `allow`: a rate without a time.
    let mut allow = vec![0x08, 0x01, 0x12, 0x20];
    allow.extend([0x23; 32]);
    allow.extend([0x1a, 0x40]);
    allow.extend([0x33; 64]);
    allow.extend([0x3a, 0x02, 0x08, 0x0a]);
    let mut rate = vec![0x08, 0x06];
    rate.extend(nested(0x3a, &allow));
    vec![
        bad_header(
            "fail_key_has_the_wrong_size",
            "FRM-4, CMD-9",
            Code::Malformed,
            "a key of 31 bytes",
            &short_key,
            7,
        ),
        bad_header(
            "fail_token_has_the_wrong_size",
            "FRM-4, CMD-5, LIM-26",
            Code::Malformed,
            "a create with a token of 15 bytes",
            &create,
            8,
        ),
        bad_header(
            "fail_rate_without_a_time",
            "FRM-4, CMD-8",
            Code::Malformed,
            "a rate without a time",
            &rate,
            6,
        ),
        bad_header(
            "fail_too_many_readers_in_a_commit",
            "LIM-5, ERR-3",
            Code::TooLarge,
            "a commit with 17 readers: the frame is good, so nothing is closed",
            &bytes_of_commit(&readers),
            10,
        ),
        bad_header(
            "fail_too_many_blobs_in_a_commit",
            "LIM-5, ERR-3",
            Code::TooLarge,
            "a commit with 5 blobs",
            &bytes_of_commit(&[0x2a, 0x01, 0x66].repeat(5)),
            10,
        ),
    ]
}

/// Ids of blobs have their size in commits too.
fn bad_blob() -> Bad {
    bad_header(
        "fail_blob_id_in_a_commit_has_the_wrong_size",
        "FRM-4, CMD-11",
        Code::Malformed,
        "a commit with a blob's id of one byte",
        &bytes_of_commit(&[0x2a, 0x01, 0x66]),
        10,
    )
}

/// A frame of this header, without body.
fn bad_header(
    name: &'static str,
    rule: &'static str,
    expect: Code,
    comment: &'static str,
    header: &[u8],
    number: u32,
) -> Bad {
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let mut frame = (u32::from(length) + 2).to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(header);
    Bad { name, rule, expect, comment, frame, number, closes: expect == Code::Malformed }
}

/// The header of an append with this class, number 9.
fn bytes_of_append(class: u8) -> Vec<u8> {
    let mut append = vec![0x08, 0x01, 0x10, 0x01, 0x1a, 0x10];
    append.extend([0x55; 16]);
    append.extend([0x20, class]);
    let mut header = vec![0x08, 0x09];
    header.extend(nested(0x52, &append));
    header
}

/// The header of a commit with these fields, number 10.
fn bytes_of_commit(commit: &[u8]) -> Vec<u8> {
    let mut append = vec![0x08, 0x01, 0x10, 0x01, 0x1a, 0x10];
    append.extend([0x55; 16]);
    append.extend([0x20, 0x01]);
    append.extend(nested(0x3a, commit));
    let mut header = vec![0x08, 0x0a];
    header.extend(nested(0x52, &append));
    header
}

/// A field of bytes: tag, length as a varint of at most two bytes, content.
fn nested(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let (low, high) = (content.len() & 0x7f, content.len() >> 7);
    let more = if high > 0 { 0x80 } else { 0 };
    bytes.extend(u8::try_from(low | more));
    bytes.extend(u8::try_from(high).ok().filter(|high| *high > 0));
    bytes.extend(content);
    bytes
}

//! Data files that cannot be understood are refused, with the file and the line.

use aop_common::{DropReason, Verdict};
use aop_packets::{BadShape, Fixture, Rule, Scene, Sender, parse};

/// Three lines after which a shape can follow.
const HEAD: &str = "part v4 ip = @ip 45 00 $length 00*6 $ipsum $source $origin\n\
                    group some\n\
                    expect stranger drop malformed, if udp drop udp\n";

fn reading(lines: &str) -> Result<Vec<Fixture>, BadShape> {
    parse(&[("a.shapes", &format!("{HEAD}{lines}\n"))], &Scene::FIXED)
}

/// The error about the last of `lines`.
fn error_of(lines: &str) -> String {
    let error = reading(lines).expect_err(lines);
    let line = HEAD.lines().count() + lines.lines().count();
    let text = error.to_string();
    let place = format!("a.shapes:{line}: ");
    text.strip_prefix(&place).unwrap_or_else(|| panic!("{text} is not at {place}")).to_owned()
}

#[test]
fn an_error_names_the_file_and_the_line() {
    for (lines, wrong) in [
        ("v5 a: 00", "\"v5\" begins no line"),
        ("v4 a", "no `NAME: FRAME`"),
        ("v4 a: 0", "\"0\" is half a byte"),
        ("v4 a: nothing", "there is no part nothing here"),
        ("v6 a: ip", "there is no part ip here"),
        ("v4 a: ip(hops=01)", "the part ip has no field hops"),
        ("v4 a: ip(first)", "no `FIELD=VALUE`"),
        ("v4 a: ip(first=01", "a `(` without its `)`"),
        ("v4 a: $nobody", "the scene has no \"nobody\""),
        ("v4 a: $admitted.first", "are of `admitting`"),
        ("v4 a: $admitting", "are of `admitting`"),
        ("v4 a: $admitted.middle", "\"middle\" is no piece of an address"),
        ("v4 a: 00*1", "\"1\" is no number of times"),
        ("v4 a: 00*many", "\"many\" is no number of times"),
        ("v4 a: 00 $length", "before any @ip"),
        ("v4 a: @ip 45 $tcpsum", "ends early"),
        ("v4 a: ip 00*9999*7", "there is no part 00*9999 here"),
        (
            "v4 a: 00*9999 ip 00*9999 00*9999 00*9999 00*9999 00*9999 00*9999 00*9999",
            "in one packet",
        ),
        ("v4 a: ip / 00 / 00", "the packet ends twice"),
        ("v4 a: ip cut 20", "cut 20 of 20 bytes"),
        ("v4 a: ip cut some", "\"some\" is no number of bytes"),
        ("v4 a: ip\nv4 a: ip", "has been there before"),
        ("any a: 00", "`any` goes with `expect anyone`"),
        ("v4 a: 00\nexpect anyone pass admitted\nv4 b: 00", "`any` goes with `expect anyone`"),
        ("v4 a: 00\nexpect anyone pass admitted\nany b: $stranger", "of which family?"),
        ("v4 a: 00\nexpect source pass admitted\nv4 b: $source", "source has no $source"),
        ("expect stranger drop admitted", "\"drop admitted\" is no verdict"),
        ("expect stranger drop", "is no verdict"),
        ("expect stranger", "no `expect SENDER VERDICT`"),
        ("expect enemy drop malformed", "\"enemy\" is no sender"),
        ("expect stranger drop malformed, pass admitted", "no `if RULE VERDICT`"),
        ("expect stranger drop malformed, if raining pass admitted", "\"raining\" is no rule"),
        ("part v4 ip = 00", "has been there before"),
        ("part v4 bad = 00", "no hexadecimal number"),
        ("part v5 x = 00", "\"v5\" is no family"),
        ("part v4 x = unheard", "there is no part unheard here"),
        ("part v4 x = {a}", "no `{NAME=DEFAULT}`"),
    ] {
        let error = error_of(lines);
        assert!(error.contains(wrong), "{lines:?} gives {error:?}, not {wrong:?}");
    }
}

#[test]
fn a_shape_before_its_heading_is_refused() {
    let refused = |text| parse(&[("a", text)], &Scene::FIXED).expect_err(text).to_string();
    assert_eq!(refused("v4 a: 00"), "a:1: a shape before the first group");
    assert_eq!(refused("group a\n\nv4 a: 00"), "a:3: no `expect` stands before it");
}

#[test]
fn a_sound_line_is_a_frame_with_lengths_and_checksums_in_place() {
    let fixtures = reading("# a comment\n\nv4 two words: ip | 0102 / ff").expect("sound");
    let [fixture] = &fixtures[..] else { panic!("{fixtures:?}") };
    let Fixture { name, place, sender, verdict, .. } = fixture;
    assert_eq!((name.as_str(), place.as_str()), ("IPv4 stranger: two words", "a.shapes:6"));
    assert_eq!((*sender, *verdict), (Sender::Stranger, Verdict::Drop(DropReason::Malformed)));
    assert_eq!(fixture.expected(|rule| rule == Rule::Udp), Verdict::Drop(DropReason::Udp));
    // Checked by hand: 4500 0016 c633 6442 cb00 710a sum to 2ab95, which folds to ab97.
    let header = [0x45, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0x54, 0x68];
    let rest = [198, 51, 100, 66, 203, 0, 113, 10, 1, 2, 0xff];
    assert_eq!(fixture.frame, [&header[..], &rest].concat());
}

use super::*;

#[test]
fn every_refusal_is_found_by_its_name_and_by_no_other() {
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::from_name(refusal.name()), Some(*refusal));
    }
    assert_eq!(Refusal::from_name("Revoked"), None);
}

#[test]
fn commands_are_the_end_of_the_help_and_need_no_escaping_in_a_log() {
    for (help, commands) in Refusal::ALL.iter().filter_map(|it| it.help().zip(it.commands())) {
        assert!(help.ends_with(commands) && !commands.contains(['\\', '"']), "{help}");
    }
    assert!(Refusal::CaAsLeaf.commands().is_some());
}

#[test]
fn the_page_of_reasons_has_a_row_for_every_refusal() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reasons.md");
    let page = std::fs::read_to_string(page).expect("the page can be read");
    for refusal in Refusal::ALL {
        let row = format!("\n| `{refusal}` | ");
        assert!(page.contains(&row), "docs/reasons.md lacks a row for {refusal}");
    }
}

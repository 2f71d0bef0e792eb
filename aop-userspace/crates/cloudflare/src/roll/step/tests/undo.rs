//! The way back.

use super::*;

#[test]
fn undo_leaves_what_was_before_at_each_step_and_ends_where_the_old_is_deleted() {
    for target in
        [RollTarget::Zone, RollTarget::Host, RollTarget::BackToZone, RollTarget::BackToGlobal]
    {
        let (record, facts) = begun(target);
        let whole = plan(record.clone(), facts.clone(), at(0)).len();
        // The plan of an undo begins where a plan was cut; its own plan says that it ends.
        let mut undone = record;
        undone.undo = Some(at(0));
        let planned = plan(undone, facts, at(0));
        assert_eq!(planned, [RollNext::Undone], "{target:?} of {whole}");
    }
    let (mut record, facts) = active();
    record.undo = Some(at(1));
    let planned = plan(record.clone(), facts.clone(), at(1));
    assert_eq!(planned, [RollNext::Act(RollAction::Drop(id("ours"))), RollNext::Undone]);
    // Without the old one, ours is all that is presented.
    let mut alone = facts.clone();
    alone.certificates.remove(0);
    stops(&record, &alone, "is no longer active");
    // There is nothing to go back to: the roll ends.
    record.reach(RollStep::Settled, at(1));
    record.reach(RollStep::SwitchedOn, at(1));
    record.reach(RollStep::Seen, at(1));
    acts(&record, &facts, 1, RollAction::DeleteOld(CertificateLevel::Zone, id("old")));
    alone.zone_on = false;
    let then = next(&record, &alone, LAG, at(1));
    assert!(!format!("{then:?}").contains("--undo"), "{then:?}");
}

#[test]
fn undo_leaves_switches_that_the_roll_does_not_change() {
    for target in [RollTarget::Zone, RollTarget::Host, RollTarget::BackToZone] {
        let (mut record, mut facts) = begun(target);
        record.undo = Some(at(1));
        facts.global_on = !facts.global_on;
        assert_eq!(next(&record, &facts, LAG, at(1)), RollNext::Undone, "{target:?}");
    }
    let (mut record, mut facts) = begun(RollTarget::Host);
    record.undo = Some(at(1));
    facts.zone_on = !facts.zone_on;
    assert_eq!(next(&record, &facts, LAG, at(1)), RollNext::Undone);
    // The switches that it changes come back.
    for (target, action) in [
        (RollTarget::BackToZone, RollAction::SwitchZone(false)),
        (RollTarget::BackToGlobal, RollAction::SwitchZone(true)),
    ] {
        let (mut record, mut facts) = begun(target);
        record.undo = Some(at(1));
        facts.zone_on = !facts.zone_on;
        acts(&record, &facts, 1, action);
    }
}

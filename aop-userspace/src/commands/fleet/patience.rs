//! Asks etcd again while it is away. A call whose answer is lost may have been carried out.

use std::time::Duration;

use aop_fleet::FleetError;

/// The time that etcd may be away before a verb that gives or follows an order ends.
pub(super) const ETCD_AWAY: Duration = Duration::from_secs(300);

/// There is no answer of etcd.
#[derive(Debug)]
pub(super) struct Unanswered {
    /// The last error.
    pub(super) why: FleetError,
    /// Whether etcd may have done what was asked.
    pub(super) may_be_done: bool,
}

/// Asks until etcd answers or refuses, or `wait` says that the patience has ended. `wait` may
/// connect anew.
pub(super) fn until_answered<C, T>(
    context: &mut C,
    ask: impl Fn(&C) -> Result<T, FleetError>,
    mut wait: impl FnMut(&mut C, &FleetError) -> bool,
) -> Result<T, Unanswered> {
    let mut may_be_done = false;
    loop {
        let why = match ask(context) {
            Ok(answer) => return Ok(answer),
            Err(why @ FleetError::Refused(_)) => return Err(Unanswered { why, may_be_done }),
            Err(why) => why,
        };
        may_be_done = true;
        if !wait(context, &why) {
            return Err(Unanswered { why, may_be_done });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn away() -> FleetError {
        FleetError::Broken("away".to_owned())
    }

    fn refused() -> FleetError {
        FleetError::Refused(aop_types::SafeText::new("no right"))
    }

    /// Asks an etcd that answers so, three times at most.
    fn asked(
        answers: impl IntoIterator<Item = Result<bool, FleetError>>,
    ) -> Result<bool, Unanswered> {
        let answers = RefCell::new(answers.into_iter());
        let ask = |_: &usize| answers.borrow_mut().next().expect("asked no further");
        until_answered(&mut 3, ask, |left, _| {
            *left -= 1;
            *left > 0
        })
    }

    #[test]
    fn a_call_is_repeated_while_etcd_is_away_and_not_after_an_answer() {
        assert!(asked([Ok(true)]).expect("an answer"));
        assert!(!asked([Err(away()), Err(away()), Ok(false)]).expect("an answer"));
    }

    #[test]
    fn a_call_without_an_answer_may_be_done_and_one_that_is_refused_is_not() {
        let may_be_done = |answers| asked(answers).expect_err("no answer").may_be_done;
        assert!(may_be_done(vec![Err(away()), Err(away()), Err(away())]));
        assert!(!may_be_done(vec![Err(refused())]));
        assert!(may_be_done(vec![Err(away()), Err(refused())]));
    }
}

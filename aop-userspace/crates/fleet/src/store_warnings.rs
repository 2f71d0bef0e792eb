//! The alarms of etcd, as warnings for an operator. While etcd is full it takes no report, so the
//! hosts fall silent, and none of them can say why.

use aop_types::SafeText;

use crate::etcd::{EtcdClient, FULL};

/// A warning, with text of etcd.
pub(crate) type StoreWarning = SafeText<200>;

/// The most warnings: there is one for each alarm of each member.
const MOST: usize = 8;

/// The warnings; none where etcd does not say, or does not let the certificate ask.
pub(crate) async fn of(etcd: &mut EtcdClient) -> Vec<StoreWarning> {
    let Ok(alarms) = etcd.alarms().await else { return Vec::new() };
    let mut warnings: Vec<_> = alarms.iter().map(|alarm| told(alarm)).collect();
    // Each member that is full has an alarm.
    warnings.dedup();
    warnings.truncate(MOST);
    warnings
}

fn told(alarm: &str) -> StoreWarning {
    if alarm.contains("NOSPACE") {
        return StoreWarning::new(FULL);
    }
    StoreWarning::new(&format!("etcd has an alarm: {}", alarm.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_etcd_is_told_with_its_cure_and_another_alarm_as_safe_text() {
        assert!(told("memberID:1050 alarm:NOSPACE ").contains("disarm its alarm"));
        let other = told("memberID:1050 alarm:CORRUPT\u{1b}[2J ");
        assert!(other.contains("alarm:CORRUPT") && !other.contains('\u{1b}'), "{other:?}");
    }
}

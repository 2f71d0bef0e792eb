use std::fmt::Write;

use aop_api::terminator::Bundle;
use aop_tls::testing::Authority;
use tokio::task::spawn_blocking;

use super::*;

/// So many sites with the same files.
fn bundle(sites: usize) -> Bundle {
    let (ca, mut text) = (Authority::new("ca"), "[[listener]]\nbind = [\"[::]:443\"]\n".to_owned());
    for site in 0..sites {
        write!(
            text,
            "[[site]]\nhosts = [\"{site}.test\"]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \
             [\"a\"]\nupstream = \"http://127.0.0.1:1\"\n"
        )
        .expect("a string");
    }
    let leaf = ca.server(&["0.test"]);
    let files = [("c", leaf.pem()), ("k", leaf.key_pem()), ("a", ca.pem())];
    let files = files.map(|(name, text)| (format!("/etc/{name}").into(), text.into_bytes()));
    Bundle::new("/etc/aop.toml".into(), text, files)
}

#[tokio::test]
async fn a_report_waits_for_no_configuration_that_is_being_built_and_the_next_one_does() {
    let (there, here) = UnixStream::pair().expect("a pair");
    let asker = spawn_blocking(move || {
        let asks = [Ask::Prepare(bundle(3000)), Ask::Report, Ask::Prepare(bundle(1)), Ask::Report];
        for (id, ask) in (0..).zip(asks) {
            let message = Message::of(&Request { id, ask }).expect("a message");
            channel::send(&there, &message, &[]).expect("sent");
        }
        [(); 4].map(|()| channel::receive::<Answer>(&there).expect("an answer").expect("open"))
    });
    let (served, answers) = tokio::join!(serve(here, Fence::default(), 1), asker);
    served.expect("the channel was closed");
    let answers = answers.expect("no panic");
    assert_eq!(answers.each_ref().map(|answer| answer.id)[..2], [1, 0]);
    for Answer { id, said } in answers {
        match id {
            0 | 2 => assert!(matches!(said, Said::Done), "{id}: {said:?}"),
            _ => assert!(matches!(said, Said::Report(_)), "{id}: {said:?}"),
        }
    }
}

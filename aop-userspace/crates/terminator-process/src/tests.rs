use std::fmt::Write;

use aop_api::terminator::ConfigBundle;
use aop_tls::testing::Authority;
use tokio::task::spawn_blocking;

use super::*;

/// A configuration of this many sites with the same files.
fn bundle(sites: usize) -> ConfigBundle {
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
    let files = files.map(|(name, text)| (format!("/etc/{name}").into(), text.into_bytes().into()));
    ConfigBundle::new("/etc/aop.toml".into(), text, files)
}

#[tokio::test]
async fn a_report_does_not_wait_for_a_configuration_being_built_but_the_next_configuration_does() {
    let (there, here) = UnixStream::pair().expect("a pair");
    let daemon = spawn_blocking(move || {
        let asks = [
            Command::Prepare(bundle(3000)),
            Command::Report,
            Command::Prepare(bundle(1)),
            Command::Report,
        ];
        for (id, ask) in (0..).zip(asks) {
            let message = Message::new(&CommandEnvelope { id, ask }).expect("a message");
            channel::send(&there, &message, &[]).expect("sent");
        }
        [(); 4]
            .map(|()| channel::receive::<ReplyEnvelope>(&there).expect("an answer").expect("open"))
    });
    let (served, answers) = tokio::join!(serve(here, Sandbox::default(), 1), daemon);
    served.expect("the channel was closed");
    let answers = answers.expect("no panic");
    assert_eq!(answers.each_ref().map(|answer| answer.id)[..2], [1, 0]);
    for ReplyEnvelope { id, said } in answers {
        match id {
            0 | 2 => assert!(matches!(said, Reply::Done), "{id}: {said:?}"),
            _ => assert!(matches!(said, Reply::Report(_)), "{id}: {said:?}"),
        }
    }
}

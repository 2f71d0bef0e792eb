//! Properties of all inputs: splits change nothing, both ends of a connection understand each
//! other, and no input is the cause of a panic.

use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{
    echo::{EchoClient, EchoServer, Job, body},
    *,
};

/// Frames of a peer that is often right: identifiers and lengths are small.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = vec(any::<u8>(), 0..40);
    let wild = (0..12_u8, any::<u8>(), 0..12_u32, payload)
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    let block = vec(0x82..=0x8f_u8, 0..8);
    let headers = (any::<u8>(), 0..12_u32, block).prop_map(|(flags, stream, block)| {
        frame(HEADERS, flags & !PADDED & !frame::PRIORITY, stream, &block)
    });
    let good = (0..6_u32, any::<bool>()).prop_map(|(number, end)| {
        let flags = if end { ENDS } else { END_HEADERS };
        frame(HEADERS, flags, number * 2 + 1, &[0x82, 0x87, 0x84, 0x41, 1, b'a'])
    });
    let data = (0..6_u32, any::<bool>(), vec(any::<u8>(), 0..300))
        .prop_map(|(number, end, bytes)| frame(DATA, u8::from(end), number * 2 + 1, &bytes));
    let settings = (1..9_u16, any::<u32>())
        .prop_map(|(name, value)| frame(SETTINGS, 0, 0, &setting(name, value)));
    prop_oneof![1 => wild, 1 => headers, 3 => good, 3 => data, 1 => settings]
}

/// The events of `bytes` in parts that end at `cuts`, with adjacent DATA as one, and the output.
fn events(
    mut connection: Connection,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<Seen>, Option<ConnectionError>, Vec<u8>) {
    let mut seen: Vec<Seen> = Vec::new();
    let mut input = Vec::new();
    let mut error = None;
    let mut start = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        input.extend_from_slice(&bytes[start..end]);
        start = end;
        let mut rest = &input[..];
        let events = std::iter::from_fn(|| connection.receive(&mut rest, 0).transpose());
        for event in events.take_while(|event| {
            error = error.or(event.as_ref().err().copied());
            event.is_ok()
        }) {
            match (seen.last_mut(), Seen::new(event.unwrap(), 0)) {
                (Some(Seen::Data(stream, bytes, end)), Seen::Data(same, more, last))
                    if *stream == same && !*end =>
                {
                    bytes.extend(more);
                    *end = last;
                }
                (_, event) => seen.push(event),
            }
        }
        let left = rest.len();
        input.drain(..input.len() - left);
        if error.is_some() {
            break;
        }
        assert!(left < frame::HEADER + frame::LONGEST);
    }
    (seen, error, std::mem::take(connection.output()))
}

/// A job, with a body of up to 100,000 bytes.
fn any_job() -> impl Strategy<Value = Job> {
    let length = prop_oneof![0..10_usize, 0..100_000_usize];
    let echo = "[a-z]{0,12}";
    (length, 0..256_usize, echo, any::<bool>(), option::weighted(0.2, 0..50_000_usize)).prop_map(
        |(length, seed, echo, trailers, reset_after)| Job {
            body: body(length, seed),
            echo,
            trailers,
            reset_after,
        },
    )
}

fn any_config() -> impl Strategy<Value = ConnectionConfig> {
    (1..20_u32, 65_535..200_000_u32, 65_535..200_000_u32).prop_map(
        |(max_streams, stream_window, connection_window)| ConnectionConfig {
            max_streams,
            stream_window,
            connection_window,
            ..ConnectionConfig::default()
        },
    )
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_split_anywhere_changes_nothing(
        frames in vec(any_frame(), 0..20),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let preface = [super::super::connection::PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let bytes = [&preface[..], &frames.concat()].concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let server = || Connection::server(ConnectionConfig::default());
        let whole = events(server(), &bytes, &[]);
        prop_assert_eq!(&events(server(), &bytes, &cuts), &whole);
        let every: Vec<_> = (0..bytes.len()).collect();
        prop_assert_eq!(&events(server(), &bytes, &every), &whole);
    }

    #[test]
    fn no_input_is_the_cause_of_a_panic(
        bytes in vec(any::<u8>(), 0..600),
        frames in vec(any_frame(), 0..60),
    ) {
        let preface = super::super::connection::PREFACE;
        let noise = [preface, &frame(SETTINGS, 0, 0, &[]), &bytes].concat();
        events(Connection::server(ConnectionConfig::default()), &noise, &[]);
        let mut client = Connection::client(ConnectionConfig::default());
        for _ in 0..4 {
            client.open(&request("POST", &[]), End::No);
        }
        let answers = [frame(SETTINGS, 0, 0, &[]), frames.concat()].concat();
        events(client, &answers, &[]);
    }

    #[test]
    fn a_server_that_answers_and_resets_at_random_stays_consistent(
        steps in vec((any_frame(), 0..6_u32, 0..6_u8), 0..60),
    ) {
        let mut wire = Wire::server();
        for (bytes, number, action) in steps {
            let stream = id(number * 2 + 1);
            let mut input = &bytes[..];
            loop {
                match wire.connection.receive(&mut input, 0) {
                    Err(_) => return Ok(()),
                    Ok(None) => break,
                    Ok(Some(StreamEvent::Data { stream, bytes, .. })) => {
                        wire.connection.consumed(stream, bytes.len());
                    }
                    Ok(Some(_)) => {}
                }
            }
            match action {
                0 => wire.respond(stream.get(), 200, End::Yes),
                1 => wire.respond(stream.get(), 200, End::No),
                2 => { wire.connection.send_data(stream, &[7; 20_000], End::Yes); }
                3 => wire.connection.send_trailers(stream, &fields(&[("x", "y")])),
                4 => wire.connection.reset(stream, ErrorCode::Cancel),
                _ => wire.connection.shutdown(),
            }
            // Every frame that was written can be read.
            parse(&wire.connection.output);
            prop_assert!(wire.connection.open_streams() <= 6);
        }
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn bodies_arrive_whole_and_nothing_waits_for_ever(
        jobs in vec(any_job(), 1..25),
        configs in (any_config(), any_config()),
        steps in vec(1..40_000_usize, 8),
    ) {
        let wanted = jobs.iter().filter(|job| job.reset_after.is_none()).count();
        let mut server = EchoServer::new(configs.0);
        let mut client = EchoClient::new(configs.1, jobs);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.receive(&mut &[][..]);
        for step in steps.iter().cycle().take(20_000) {
            up.append(client.connection.output());
            move_bytes(&mut up, *step, |input| server.receive(input));
            down.append(server.connection.output());
            move_bytes(&mut down, *step, |input| client.receive(input));
            if client.is_done() {
                break;
            }
        }
        prop_assert!(client.is_done());
        prop_assert!(client.done >= wanted);
        up.append(client.connection.output());
        server.receive(&mut &up[..]);
        prop_assert_eq!(server.connection.open_streams(), 0);
    }
}

/// Gives at most `step` more bytes of a pipe to its reader. The others stay in the pipe.
fn move_bytes(pipe: &mut Vec<u8>, step: usize, read: impl FnOnce(&mut &[u8])) {
    // A frame that is not DATA must fit.
    let mut input = &pipe[..pipe.len().min(step.max(frame::HEADER + frame::LONGEST))];
    let before = input.len();
    read(&mut input);
    let read = before - input.len();
    pipe.drain(..read);
}

use std::os::unix::net::UnixStream;
use std::time::Instant;

use media::arena::SendArena;

use super::*;

fn loopback() -> Socket {
    Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

/// All that arrives within a second, until `count` datagrams are there.
fn collect(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let (_keep, waker) = UnixStream::pair().unwrap();
    let mut receiver = Receiver::new();
    let mut all = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(1);
    while all.len() < count && Instant::now() < deadline {
        socket.wait(&waker, None, true, Some(Duration::from_millis(100))).unwrap();
        receiver.receive(socket).unwrap();
        for arrival in receiver.arrivals() {
            if let Arrival::Datagram { from, data, .. } = arrival {
                all.push((from, data.to_vec()));
            }
        }
    }
    all
}

fn send(sender: &mut Sender, socket: &mut Socket, arena: &SendArena) {
    sender.send(socket, arena.runs(), arena.bytes());
}

#[test]
fn runs_arrive_as_the_datagrams_they_were() {
    let (mut a, b, c) = (loopback(), loopback(), loopback());
    assert!(a.gso(), "Linux since 4.18 has UDP GSO");
    let mut arena = SendArena::new();
    for i in 0..100u8 {
        assert!(arena.push(b.local_addr(), &vec![i; if i % 10 == 9 { 700 } else { 1200 }]));
    }
    assert!(arena.push(c.local_addr(), b"one"));
    let mut sender = Sender::new();
    send(&mut sender, &mut a, &arena);

    let got = collect(&b, 100);
    assert_eq!(got.len(), 100);
    for (i, (from, data)) in got.iter().enumerate() {
        assert_eq!(*from, a.local_addr());
        assert_eq!(*data, vec![i as u8; if i % 10 == 9 { 700 } else { 1200 }]);
    }
    assert_eq!(collect(&c, 1), [(a.local_addr(), b"one".to_vec())]);
    let figures = sender.figures();
    assert_eq!((figures.datagrams, figures.messages, figures.bytes), (101, 11, 90 * 1200 + 10 * 700 + 3));
    assert_eq!((figures.would_block, figures.failed, figures.gso_fallbacks), (0, 0, 0));
}

#[test]
fn a_run_is_read_as_one_message_of_many_datagrams() {
    for wildcard in [false, true] {
        let mut a = loopback();
        let mut b = if wildcard { Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap() } else { loopback() };
        b.take_runs();
        let to = SocketAddr::from(([127, 0, 0, 1], b.local_addr().port()));
        let mut arena = SendArena::new();
        for i in 0..9u8 {
            assert!(arena.push(to, &vec![i; if i == 8 { 700 } else { 1200 }]));
        }
        assert!(arena.push(to, &vec![9; DATAGRAM_BYTES + 1]) && arena.push(to, b"last"));
        let mut sender = Sender::new();
        send(&mut sender, &mut a, &arena);
        let mut receiver = Receiver::of_runs();
        assert_eq!(receiver.receive(&b).unwrap(), 2, "the kernel has UDP GRO since 5.0");
        let got: Vec<Option<(SocketAddr, usize, u8)>> = receiver
            .arrivals()
            .map(|arrival| match arrival {
                Arrival::Datagram { from, local, data } => {
                    assert_eq!(local.is_some(), wildcard);
                    Some((from, data.len(), data[0]))
                }
                Arrival::Unusable => None,
            })
            .collect();
        let mut expected: Vec<_> = (0..9).map(|i| Some((a.local_addr(), if i == 8 { 700 } else { 1200 }, i))).collect();
        expected.extend([None, Some((a.local_addr(), 4, b'l'))]);
        assert_eq!(got, expected);
    }
}

#[test]
fn a_refused_run_goes_out_plainly_and_ends_gso() {
    let (mut a, b) = (loopback(), loopback());
    // The kernel takes at most 128 segments (64 before 6.9): EINVAL.
    let bytes: Vec<u8> = (0..200u8).flat_map(|i| [i; 10]).collect();
    let run = Run { to: b.local_addr(), start: 0, len: 2000, segment: 10, count: 200 };
    let mut sender = Sender::new();
    sender.send(&mut a, &[run], &bytes);
    assert!(!a.gso());
    sender.send(&mut a, &[Run { len: 30, count: 3, ..run }], &bytes);

    let got: Vec<Vec<u8>> = collect(&b, 203).into_iter().map(|(_, data)| data).collect();
    let expected: Vec<Vec<u8>> = (0..200u8).chain(0..3).map(|i| vec![i; 10]).collect();
    assert_eq!(got, expected);
    let figures = sender.figures();
    assert_eq!((figures.datagrams, figures.gso_fallbacks, figures.failed), (203, 1, 0));
}

#[test]
fn what_the_kernel_refuses_is_counted_and_the_rest_goes_out() {
    let (mut a, b) = (loopback(), loopback());
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut arena = SendArena::new();
    for to in [b.local_addr(), nowhere, b.local_addr()] {
        assert!(arena.push(to, &[7; 100]) && arena.push(to, &[8; 100]));
    }
    let mut sender = Sender::new();
    send(&mut sender, &mut a, &arena);
    assert_eq!(collect(&b, 4).len(), 4);
    assert_eq!((sender.figures().datagrams, sender.figures().failed), (4, 2));
    assert!(a.gso(), "a bad destination says nothing about GSO");
}

#[test]
fn a_full_send_buffer_is_a_counted_drop() {
    let (mut a, b) = (loopback(), loopback());
    // On loopback a sent datagram is charged to the sender only until it is queued at the receiver, so that the buffer
    // must be smaller than one message for the kernel to refuse.
    set_option(&a.udp, libc::SOL_SOCKET, libc::SO_SNDBUF, 1).unwrap();
    let mut arena = SendArena::new();
    while arena.push(b.local_addr(), &[1; 1200]) {}
    let total: u64 = arena.runs().iter().map(|run| u64::from(run.count)).sum();
    let mut sender = Sender::new();
    send(&mut sender, &mut a, &arena);
    let figures = sender.figures();
    assert_eq!(figures.datagrams + figures.would_block + figures.failed, total);
}

#[test]
fn a_taken_port_is_refused() {
    let first = loopback();
    let error = Socket::bind(first.local_addr()).err().expect("a second bind fails");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn too_long_and_empty_datagrams_are_unusable() {
    let (a, b) = (loopback(), loopback());
    for len in [DATAGRAM_BYTES, DATAGRAM_BYTES + 1, 9000, 0] {
        a.udp.send_to(&vec![1; len], b.local_addr()).unwrap();
    }
    let mut receiver = Receiver::new();
    assert_eq!(receiver.receive(&b).unwrap(), 4);
    let usable: Vec<bool> = receiver.arrivals().map(|arrival| matches!(arrival, Arrival::Datagram { .. })).collect();
    assert_eq!(usable, [true, false, false, false]);
    assert_eq!(receiver.receive(&b).unwrap(), 0);
}

#[test]
fn a_dual_stack_socket_speaks_ipv4_by_its_own_name() {
    let mut six = match Socket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))) {
        Ok(six) => six,
        Err(error) => {
            // A host without IPv6 has nothing to show here.
            assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
            return;
        }
    };
    let mut four = loopback();
    let six_as_four = SocketAddr::from(([127, 0, 0, 1], six.local_addr().port()));
    let mut sender = Sender::new();
    let mut arena = SendArena::new();
    assert!(arena.push(six_as_four, b"ping"));
    send(&mut sender, &mut four, &arena);
    assert_eq!(collect(&six, 1), [(four.local_addr(), b"ping".to_vec())]);
    arena.clear();
    assert!(arena.push(four.local_addr(), b"pong"));
    send(&mut sender, &mut six, &arena);
    assert_eq!(collect(&four, 1), [(six_as_four, b"pong".to_vec())]);
}

#[test]
fn the_waker_ends_a_wait_and_the_timeout_too() {
    use std::io::Write;
    let socket = loopback();
    let (mut bell, waker) = UnixStream::pair().unwrap();
    let start = Instant::now();
    socket.wait(&waker, None, true, Some(Duration::from_millis(20))).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(19));
    bell.write_all(&[1]).unwrap();
    socket.wait(&waker, None, false, None).unwrap();
}

/// Two addresses of one machine: whoever checks one of them is answered from it.
#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let mut server = Socket::bind(wildcard.parse().unwrap()).unwrap();
        let client = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let asked = SocketAddr::from(([127, 0, 0, 9], server.local_addr().port()));
        client.udp.send_to(b"\0check", asked).unwrap();
        let (_keep, waker) = UnixStream::pair().unwrap();
        server.wait(&waker, None, true, Some(Duration::from_secs(1))).unwrap();
        let (mut receiver, mut sender) = (Receiver::new(), Sender::new());
        receiver.receive(&server).unwrap();
        for arrival in receiver.arrivals() {
            let Arrival::Datagram { from, local, .. } = arrival else { panic!("it is usable") };
            assert_eq!((from, local), (client.local_addr(), Some([127, 0, 0, 9].into())), "{wildcard}");
            sender.learn(from, local.unwrap());
        }
        let mut arena = SendArena::new();
        for _ in 0..3 {
            assert!(arena.push(client.local_addr(), &[7; 1200]));
        }
        sender.send(&mut server, arena.runs(), arena.bytes());
        let got = collect(&client, 3);
        assert_eq!(got.len(), 3, "{wildcard}");
        assert!(got.iter().all(|(from, _)| *from == asked), "{got:?}");
    }
}

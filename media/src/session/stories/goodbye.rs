//! The end of a session by DTLS, from either side and whenever.

use super::*;

#[test]
fn either_side_may_say_goodbye() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    story.peer.close(story.now.mono);
    story.exchange();
    assert_eq!(story.told.last().unwrap(), "Closed(PeerClosed)");
    assert!(!story.session.is_connected());

    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    story.lose = is_dtls;
    story.session.close(story.now, &mut story.arena);
    story.deliver();
    assert!(!story.session.is_connected() && !story.heard.contains(&Heard::Closed));
    assert_eq!(story.forward(5, 1, b"x"), Err(DropReason::NotConnected));
    story.lose = |_| false;
    let report = story.peer.seal_rtcp(&PLI);
    assert_eq!(story.send(report), "Handled");
    assert_eq!(story.heard.last(), Some(&Heard::Closed), "repeated for a peer that missed it");
    assert_eq!(story.wait(2000 * MS), Some(CloseReason::Requested));
}

#[test]
fn a_goodbye_goes_to_where_the_peer_is_now() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let check = story.peer.check(true);
    story.send_from(address(2), check);
    story.session.close(story.now, &mut story.arena);
    let to: Vec<_> = story.arena.datagrams().map(|(to, _)| to).collect();
    assert_eq!(to, [address(2)]);
    story.deliver();
    assert_eq!(story.heard.last(), Some(&Heard::Closed));
}

#[test]
fn a_goodbye_is_understood_long_after_the_handshake_whatever_the_profile() {
    for profiles in [&BROWSER_PROFILES[..], &[Offered::Srtp_Aes128_Cm_Hmac_Sha1_80]] {
        let mut story = Story::new(Role::Viewer, profiles);
        story.connect();
        assert_eq!(story.wait(limit::CONSENT - MS), None);
        // Alerts in clear, and one that only looks sealed: nobody's word.
        let forged = |epoch: u8| vec![21, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
        for epoch in [0, 1, 2] {
            assert_eq!(story.send(forged(epoch)), "Handled");
        }
        assert!(story.session.is_connected());
        story.peer.close(story.now.mono);
        story.exchange();
        assert_eq!(story.told.last().unwrap(), "Closed(PeerClosed)");
    }
}

#[test]
fn alerts_are_not_read_for_ever() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let forged = vec![21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
    let told: Vec<String> = (0..limit::DTLS_RECORDS).map(|_| story.send(forged.clone())).collect();
    assert_eq!((&*told[0], &*told[told.len() - 1]), ("Handled", "Dropped(BadDtls)"), "each costs a resumption");
    assert!(story.session.is_connected());
}

//! ICE restarts: new credentials for the same keys, counters and paths.

use super::*;
use crate::message::Refusal;
use crate::session::Restarted;

fn fragment(ufrag: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:anotherpasswordanother00\r\n")
}

impl Story {
    fn ice(&mut self, fragment: &str, expects: Option<&[String]>) -> Result<Option<Restarted>, Refusal> {
        let seed = self.now.utc_us + self.session.local_ufrag().len() as u64 + self.told.len() as u64;
        self.session.ice(fragment, expects, &[address(8189)], &mut StdRng::seed_from_u64(seed))
    }

    fn restart(&mut self, ufrag: &str) -> Restarted {
        self.ice(&fragment(ufrag), None).expect("a good fragment").expect("other credentials restart")
    }
}

#[test]
fn media_goes_on_by_the_old_path_until_the_new_one_is_nominated() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let picture = |story: &mut Story, index: u64| {
        assert_eq!(story.forward(5, index, b"picture"), Ok(Heard::Rtp(rtp(index as u16, 5, b"picture"))));
    };
    picture(&mut story, 1);
    let (old_ufrag, old_password) = (story.peer.remote_ufrag.clone(), story.peer.remote_password.clone());
    let restarted = story.restart("next");
    assert_eq!(restarted.forgotten, None);
    assert!(restarted.fragment.contains(&format!("a=ice-ufrag:{}\r\n", story.session.local_ufrag())));
    assert!(restarted.fragment.contains(" udp ") && restarted.fragment.contains(" tcptype passive\r\n"));
    assert_eq!(story.session.local_ufrags().collect::<Vec<_>>(), [&*old_ufrag, story.session.local_ufrag()]);

    assert!(story.check(true).starts_with("Validated"), "a check of before was on its way");
    picture(&mut story, 2);

    story.peer.answered(&restarted.fragment);
    assert!(!restarted.fragment.contains(&old_ufrag) && !restarted.fragment.contains(&old_password));
    story.at = address(2);
    assert!(story.check(false).starts_with("Validated"));
    assert_eq!(story.session.address(), Some(address(1)), "not nominated yet");
    picture(&mut story, 3);
    story.check(true);
    assert_eq!(story.session.address(), Some(address(2)));
    picture(&mut story, 4);
    assert_eq!(story.forward(5, 4, b"picture"), Err(DropReason::SealFailed), "no number twice, before or after");

    (story.peer.remote_ufrag, story.peer.remote_password) = (old_ufrag, old_password);
    assert_eq!(story.check(true), "Dropped(BadStun)", "the old credentials end with the first check of the new ones");
    assert_eq!(story.session.address(), Some(address(2)));
}

#[test]
fn a_publisher_s_packets_are_read_across_a_restart() {
    let mut story = Story::new(Role::Publisher, &BROWSER_PROFILES);
    story.connect();
    let packet = story.peer.seal_rtp(&rtp(1, 1, b"before"));
    assert!(story.send(packet.clone()).starts_with("Rtp"));
    let restarted = story.restart("next");
    story.peer.answered(&restarted.fragment);
    story.at = address(2);
    story.check(true);
    assert_eq!(story.send(packet), "Dropped(Replayed)", "the replay window goes on");
    let packet = story.peer.seal_rtp(&rtp(1, 2, b"after"));
    assert!(story.send(packet).starts_with("Rtp"));
}

#[test]
fn a_path_that_checks_no_more_is_sent_nothing_though_the_peer_lives() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let rounds = limit::CONSENT.as_secs() / 5;
    for round in 0..=rounds {
        assert_eq!(story.session.address(), Some(address(1)), "round {round}");
        story.at = address(2);
        assert!(story.check(false).starts_with("Validated"));
        assert_eq!(story.wait(5000 * MS), None);
        if round == 0 {
            story.at = address(1);
            story.check(false);
        }
    }
    story.at = address(2);
    story.check(false);
    assert_eq!(story.session.address(), Some(address(2)), "checks of the nominated path ended 30 s ago");
    story.at = address(1);
    story.check(true);
    assert_eq!(story.session.address(), Some(address(1)), "a nomination counts again");
}

#[test]
fn candidates_restart_nothing_and_late_changes_are_refused() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let ufrag = story.session.local_ufrag().to_owned();
    let mdns = "a=candidate:1 1 udp 2122260223 3f6c1d2e.local 61764 typ host\r\n";
    let current = [ufrag.clone()];
    assert_eq!(story.ice(mdns, Some(&current)), Ok(None));
    assert_eq!(story.ice(&(fragment(&story.peer.ufrag.clone()) + mdns), Some(&current)), Ok(None), "nothing changed");
    assert_eq!(story.ice(mdns, Some(&["other".to_owned()])), Err(Refusal::Outdated));
    assert!(matches!(story.ice("rubbish", None), Err(Refusal::MalformedFragment(_))));
    assert_eq!(story.session.local_ufrag(), ufrag);

    assert!(story.ice(&fragment("next"), Some(&["other".to_owned(), ufrag.clone()])).is_ok());
    assert_eq!(story.ice(&fragment("third"), Some(&current)), Err(Refusal::Outdated), "somebody was quicker");
    assert_eq!(story.restart("third").forgotten, Some(ufrag.into()), "only one before is kept");
    assert_eq!(story.session.local_ufrags().count(), 2);
}

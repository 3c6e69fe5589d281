//! Stories of shards that fail while others go on.

use std::net::SocketAddr;
use std::time::Duration;

use bench::peer::{Codecs, Offered};
use media::id::ShardId;
use media::limit::MIRROR_SILENCE;
use media::message::{CloseReason, EndReason, Event, Role};

use crate::PlaneState;
use crate::place::home;
use crate::stage::{FRAME_PACKETS, Stage, channel, config};

const SHARDS: usize = 3;
const VIEWERS: usize = 30;

/// The shard of the channel's home, and one that it is not.
fn home_and_other() -> (ShardId, ShardId) {
    let home = home(&channel(), SHARDS);
    (home, ShardId((home.0 + 1) % SHARDS as u16))
}

async fn crowd() -> Stage {
    let mut config = config(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.shards = SHARDS;
    let mut stage = Stage::on(config);
    stage.publish(Codecs::Vp8AndOpus).await;
    for _ in 0..VIEWERS {
        stage.join(Offered::LikeChromium).await.expect("the channel is live");
    }
    stage.all_connected().await;
    stage.play(10).await;
    stage
}

async fn sessions(stage: &Stage) -> Vec<usize> {
    stage.plane.stats().await.iter().map(|shard| shard.sessions as usize).collect()
}

fn faults(stage: &mut Stage) -> usize {
    let is_fault =
        |event: &Event| matches!(event, Event::SessionClosed { reason: CloseReason::Fault, role: Role::Viewer, .. });
    stage.events().iter().filter(|event| is_fault(event)).count()
}

#[tokio::test]
async fn a_shard_that_fails_takes_nobody_of_another_with_it() {
    let mut stage = crowd().await;
    let (home, other) = home_and_other();
    let lost = sessions(&stage).await[usize::from(other.0)];
    assert!((1..VIEWERS).contains(&lost), "{lost}");
    stage.plane.panic(other).await;
    let before: Vec<u64> = stage.viewers.iter().map(|viewer| viewer.video.packets).collect();
    stage.play(30).await;
    assert_eq!(faults(&mut stage), lost);
    let gains = stage.viewers.iter().zip(before).map(|(viewer, before)| viewer.video.packets - before);
    let (served, left): (Vec<u64>, Vec<u64>) = gains.partition(|gain| *gain > 5 * FRAME_PACKETS);
    assert_eq!((served.len(), left.len()), (VIEWERS - lost, lost));
    assert!(served.iter().all(|gain| *gain >= 29 * FRAME_PACKETS), "{served:?}");

    stage.run_for(MIRROR_SILENCE + Duration::from_millis(500)).await;
    stage.play(5).await;
    let stats = stage.plane.stats().await;
    assert_eq!(stats[usize::from(home.0)].rooms[0].viewers as usize, VIEWERS - lost);
    assert_eq!(stats.iter().map(|shard| shard.drive.restarts).sum::<u64>(), 1);
    for _ in 0..VIEWERS {
        stage.join(Offered::LikeChromium).await.expect("the channel is live");
    }
    stage.run_until(|stage| stage.viewers[VIEWERS..].iter().all(|viewer| viewer.is_connected())).await;
    stage.play(30).await;
    assert!(stage.viewers[VIEWERS..].iter().all(|viewer| viewer.video.packets >= 29 * FRAME_PACKETS));
    assert!(sessions(&stage).await[usize::from(other.0)] > 0, "its socket is still there");
    assert_eq!(*stage.plane.state().borrow(), PlaneState::Running);
}

#[tokio::test]
async fn a_broadcast_whose_home_fails_ends_on_all_shards() {
    let mut stage = crowd().await;
    let (home, _) = home_and_other();
    let lost = sessions(&stage).await[usize::from(home.0)] - 1;
    stage.plane.panic(home).await;
    stage.run_until(|stage| stage.viewers.iter().filter(|viewer| viewer.closed).count() >= VIEWERS - lost).await;
    let ended = stage.events().into_iter().filter_map(|event| match event {
        Event::BroadcastEnded { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [EndReason::Dropped]);
    assert_eq!(faults(&mut stage), lost, "the others are told that the broadcast is over");
    stage.publish(Codecs::Vp8AndOpus).await;
    stage.watch_one(Offered::LikeChromium).await;
    stage.play(10).await;
    assert!(stage.viewers.last().is_some_and(|viewer| viewer.video.packets >= 9 * FRAME_PACKETS));
}

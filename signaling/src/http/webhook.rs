//! Who is told of events: webhooks, what they were told, and telling them again.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::extract::{IdOf, Json};
use crate::app::App;
use crate::auth::Streamer;
use crate::error::Error;
use crate::openapi::Problems;
use crate::view::List;
use crate::webhooks::{
    self, Delivery, NewSecret, NewWebhook, Pinged, ReplayWanted, Replayed, Webhook, WebhookEdit, WebhookSecret,
};

#[utoipa::path(
    get,
    path = "/api/webhooks",
    summary = "The webhooks",
    responses((status = 200, description = "All of them, oldest first", body = List<Webhook>), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn list(State(app): State<App>, _: Streamer) -> Result<Response, Error> {
    let items = webhooks::list(&app).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Answer(List { items })).into_response())
}

#[utoipa::path(
    post,
    path = "/api/webhooks",
    summary = "Make a webhook",
    request_body = NewWebhook,
    responses((status = 201, description = "The webhook, and its secret this once", body = WebhookSecret), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn create(State(app): State<App>, _: Streamer, Json(wanted): Json<NewWebhook>) -> Result<Response, Error> {
    let made = webhooks::create(&app, wanted).await?;
    let location = format!("/api/webhooks/{}", made.webhook.id);
    let headers = [(header::CACHE_CONTROL, "no-store".to_owned()), (header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Answer(made)).into_response())
}

#[utoipa::path(
    get,
    path = "/api/webhooks/{id}",
    summary = "One webhook",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 200, description = "As it is", body = Webhook), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn read(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<Response, Error> {
    let webhook = webhooks::read(&app, &id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Answer(webhook)).into_response())
}

#[utoipa::path(
    patch,
    path = "/api/webhooks/{id}",
    summary = "Change a webhook",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    request_body = WebhookEdit,
    responses((status = 200, description = "As it is now", body = Webhook), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn edit(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    Json(edit): Json<WebhookEdit>,
) -> Result<Answer<Webhook>, Error> {
    Ok(Answer(webhooks::edit(&app, &id, edit).await?))
}

#[utoipa::path(
    delete,
    path = "/api/webhooks/{id}",
    summary = "Remove a webhook",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 204, description = "It is gone, with all that waited for it"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn delete(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<StatusCode, Error> {
    webhooks::delete(&app, &id).await.map(|()| StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/secret",
    summary = "Give a webhook a new secret",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    request_body = NewSecret,
    responses((status = 200, description = "The secret, this once", body = WebhookSecret), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn rotate(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    Json(wanted): Json<NewSecret>,
) -> Result<Response, Error> {
    let made = webhooks::rotate(&app, &id, wanted).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Answer(made)).into_response())
}

#[utoipa::path(
    get,
    path = "/api/webhooks/{id}/deliveries",
    summary = "What a webhook was told",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 200, description = "The 50 that were tried last, the newest first", body = List<Delivery>), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn deliveries(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<Response, Error> {
    let items = webhooks::deliveries(&app, &id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Answer(List { items })).into_response())
}

#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/replay",
    summary = "Tell a webhook again",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    request_body = ReplayWanted,
    responses((status = 202, description = "How many events wait for it now", body = Replayed), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn replay(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    Json(wanted): Json<ReplayWanted>,
) -> Result<Response, Error> {
    Ok((StatusCode::ACCEPTED, Answer(webhooks::replay(&app, &id, wanted).await?)).into_response())
}

#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/test",
    summary = "Try a webhook",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 202, description = "A `webhook.ping` is on its way to it", body = Pinged), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn test(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<Response, Error> {
    Ok((StatusCode::ACCEPTED, Answer(webhooks::test(&app, &id).await?)).into_response())
}

//! The HTTP interface as OpenAPI 3.1, served at `/api/openapi.json`. Each handler describes itself where it stands; here they are
//! listed, and a test compares the list with the routes. Socket.io is not part of it: docs/protocol.md.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, openapi};

use crate::auth;
use crate::http as at;
use crate::view;

#[derive(OpenApi)]
#[openapi(
    info(title = "Oxbow", description = "Live streams, their recordings and clips. Times are UTC milliseconds, sizes bytes."),
    paths(
        at::session::read, at::session::open, at::session::close,
        at::health::server, at::health::alive, at::health::ready, at::health::metrics, serve,
        at::storage::read, at::storage::retention, at::event::follow,
        at::webhook::list, at::webhook::create, at::webhook::read, at::webhook::edit, at::webhook::delete, at::webhook::rotate,
        at::webhook::deliveries, at::webhook::replay, at::webhook::test,
        at::connection::list, at::connection::read, at::connection::trace, at::connection::untrace,
        at::channel::list, at::channel::read, at::channel::clip, at::channel::stats,
        at::broadcast::list, at::broadcast::read, at::order::media, at::broadcast::stop, at::hls::file,
        at::clip::list, at::order::create, at::clip::read, at::clip::edit, at::clip::delete, at::clip::retry, at::clip::link,
        at::bulk::change,
        at::order::timeline, at::file::media, at::file::poster,
        at::pictures::storyboard, at::pictures::sheet, at::pictures::waveform, at::pictures::posters, at::pictures::poster, at::pictures::choose,
        at::whip::publish_main, at::whip::publish, at::whip::ice, at::whip::stop,
        at::whep::watch, at::whep::ice, at::whep::stop,
    ),
    components(schemas(view::Problem)),
    modifiers(&Keys),
)]
struct Interface;

/// How the key is given.
struct Keys;

impl Modify for Keys {
    fn modify(&self, interface: &mut openapi::OpenApi) {
        let components = interface.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The stream key")).build();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::with_description(auth::COOKIE, "What POST /api/session sets");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// What every address may answer besides what it is for.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description("What is wrong (RFC 9457)");
        let response = response.content("application/problem+json", content).build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// The whole description.
pub fn interface() -> openapi::OpenApi {
    Interface::openapi()
}

#[utoipa::path(
    get,
    path = "/api/openapi.json",
    summary = "This description",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), Problems),
)]
pub async fn serve() -> Response {
    // plain structs with string keys cannot fail
    static TEXT: LazyLock<String> = LazyLock::new(|| interface().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// (method, path) of each route of the list in `http/mod.rs`.
    fn routed() -> BTreeSet<(String, String)> {
        let list = include_str!("http/mod.rs");
        let mut found = BTreeSet::new();
        for route in list.split(".route(").skip(1) {
            let (path, rest) = route.trim_start().strip_prefix('"').and_then(|r| r.split_once('"')).expect("a path");
            let handlers = rest.split(".route(").next().unwrap_or_default().split('\n').next().unwrap_or_default();
            for method in ["get", "post", "patch", "put", "delete"] {
                if handlers.contains(&format!("{method}(")) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let interface = serde_json::to_value(interface()).unwrap();
        let paths = interface["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |m| (m.clone(), path.clone())))
            .collect();
        let routed = routed();
        assert!(routed.len() > 30, "the list of routes is read");
        let missing: Vec<_> = routed.difference(&described).collect();
        let surplus: Vec<_> = described.difference(&routed).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "not described: {missing:?}; described only: {surplus:?}");
    }

    #[test]
    fn what_a_description_refers_to_is_there() {
        let text = interface().to_json().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(value["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}

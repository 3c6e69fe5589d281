//! The web app's files, as the server hands them over, and how a browser may keep them.
//!
//! Where they come from (embedded, or a folder in development) is the server's business.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::error::{Code, Error};

/// One file.
pub struct Asset {
    pub bytes: Cow<'static, [u8]>,
    pub mime: String,
    pub sha256: [u8; 32],
}

/// Finds a file by its path below the web app's root, without a leading slash.
pub type Assets = fn(&str) -> Option<Asset>;

/// What the router does with an address that is none of its routes: a file, a page, or nothing.
pub fn answer(assets: Assets, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if *method != Method::GET && *method != Method::HEAD {
        return Error::new(Code::MethodNotAllowed, format!("{method} does nothing here")).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if !path.is_empty()
        && let Some(asset) = assets(path)
    {
        return file(asset, path, headers);
    }
    let page = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    if !(page || path.is_empty()) || path.starts_with("api/") || path.starts_with("assets/") {
        return Error::not_found().into_response();
    }
    match assets("index.html") {
        Some(asset) => file(asset, "index.html", headers),
        None => Error::new(Code::NotFound, "this server was built without its web app: run scripts/build.sh")
            .into_response(),
    }
}

fn file(asset: Asset, path: &str, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", &hex::encode(asset.sha256)[..32]);
    // Vite puts a hash of the contents into every name under assets/.
    let keep = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known =
        headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| matches_etag(v, &etag));
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(asset.bytes).into_response() };
    let out = response.headers_mut();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, value);
    }
    if let Ok(value) = HeaderValue::from_str(&asset.mime) {
        out.insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Whether a list of entity tags holds this one, by weak comparison (RFC 9110 §13.1.2).
pub fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(path: &str) -> Option<Asset> {
        let bytes: &'static [u8] = match path {
            "index.html" => b"<!doctype html>",
            "assets/app-1234.js" => b"1",
            _ => return None,
        };
        Some(Asset { bytes: bytes.into(), mime: "text/html".into(), sha256: [7; 32] })
    }

    fn get(path: &'static str, accept: &'static str) -> Response {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        answer(assets, &Method::GET, &Uri::from_static(path), &headers)
    }

    #[test]
    fn pages_fall_back_to_the_index_and_other_things_do_not() {
        for (path, accept, status) in [
            ("/", "*/*", 200),
            ("/@main", "text/html,*/*", 200),
            ("/c/0000000000000000000000000a", "text/html", 200),
            ("/@main", "application/json", 404),
            ("/api/nothing", "text/html", 404),
            ("/assets/gone.js", "text/html", 404),
            ("/assets/app-1234.js", "*/*", 200),
            ("/../../etc/passwd", "*/*", 404),
        ] {
            assert_eq!(get(path, accept).status().as_u16(), status, "{path}");
        }
    }

    #[test]
    fn hashed_files_are_kept_and_the_index_is_asked_for_again() {
        assert!(
            get("/assets/app-1234.js", "*/*").headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable")
        );
        assert_eq!(get("/", "*/*").headers()[header::CACHE_CONTROL], "no-cache");
        let etag = get("/", "*/*").headers()[header::ETAG].clone();
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)]);
        assert_eq!(answer(assets, &Method::GET, &Uri::from_static("/"), &headers).status(), 304);
    }
}

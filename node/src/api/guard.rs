//! Who may talk to a local HTTP listener: checks of `Host`, `Origin` and the token.
//!
//! Any web page in the user's browser can send requests to loopback. A page cannot choose `Host`
//! against the name that it was loaded from (DNS rebinding shows there), cannot hide its `Origin`,
//! and cannot know the token.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, Uri, header, uri::Authority};
use subtle::ConstantTimeEq;

use super::file::Token;

/// A rebinding page comes with a DNS name: only IP addresses and `localhost` are answered.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), StatusCode> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(StatusCode::BAD_REQUEST);
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    check_name(&authority.ok_or(StatusCode::BAD_REQUEST)?)
}

/// A request line with a whole URL, as a proxy gets it, names a host too, and this one counts (RFC 9112).
pub(crate) fn check_target(target: &Uri) -> Result<(), StatusCode> {
    target.authority().map_or(Ok(()), check_name)
}

fn check_name(authority: &Authority) -> Result<(), StatusCode> {
    let name = authority.host();
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    if name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok() {
        Ok(())
    } else {
        Err(StatusCode::MISDIRECTED_REQUEST)
    }
}

/// No web page uses the API yet: a request that names an origin other than this server is refused.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), StatusCode> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if origin
        .to_str()
        .is_ok_and(|origin| origin.strip_prefix("http://") == Some(host))
    {
        Ok(())
    } else {
        Err(StatusCode::FORBIDDEN)
    }
}

/// A page of another site may not make this node read, nor learn from how it answers what it has. Pages of
/// `origins` may; so may a link that the user follows, which shows the page nothing.
///
/// Browsers send `Origin` where a page could read the answer, and `Sec-Fetch-Site` always.
pub(crate) fn check_page(headers: &HeaderMap, origins: &[String]) -> Result<(), StatusCode> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let is_allowed = origins
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes());
        return if is_allowed {
            Ok(())
        } else {
            check_origin(headers)
        };
    }
    let says = |name: &str, words: &[&str]| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| words.contains(&value))
    };
    let is_elsewhere = says("sec-fetch-site", &["cross-site", "same-site"]);
    if is_elsewhere && !says("sec-fetch-mode", &["navigate"]) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(())
}

/// `Authorization: Bearer <token>`, compared in constant time.
pub(super) fn check_token(headers: &HeaderMap, token: &Token) -> Result<(), StatusCode> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(token.text().as_bytes())) {
        Ok(())
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn s17_only_addresses_and_localhost_are_hosts() {
        for good in [
            "127.0.0.1:4000",
            "localhost:1",
            "LOCALHOST",
            "[::1]:80",
            "10.0.0.1",
        ] {
            assert_eq!(
                check_host(&headers(&[(header::HOST, good)])),
                Ok(()),
                "{good}"
            );
        }
        for bad in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example",
            "0x7f.1",
        ] {
            let refused = check_host(&headers(&[(header::HOST, bad)]));
            assert_eq!(refused, Err(StatusCode::MISDIRECTED_REQUEST), "{bad}");
        }
        for (target, expected) in [
            ("/d/x", Ok(())),
            ("http://127.0.0.1:1/d/x", Ok(())),
            (
                "http://evil.example/d/x",
                Err(StatusCode::MISDIRECTED_REQUEST),
            ),
        ] {
            let checked = check_target(&target.parse().unwrap());
            assert_eq!(checked, expected, "{target}");
        }
        assert_eq!(check_host(&headers(&[])), Err(StatusCode::BAD_REQUEST));
        let two = headers(&[(header::HOST, "localhost"), (header::HOST, "evil.example")]);
        assert_eq!(check_host(&two), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn s17_pages_of_other_origins_are_refused() {
        let host = (header::HOST, "127.0.0.1:4000");
        assert_eq!(check_origin(&headers(std::slice::from_ref(&host))), Ok(()));
        let own = headers(&[host.clone(), (header::ORIGIN, "http://127.0.0.1:4000")]);
        assert_eq!(check_origin(&own), Ok(()));
        for bad in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:4001",
            "https://127.0.0.1:4000",
        ] {
            let refused = check_origin(&headers(&[host.clone(), (header::ORIGIN, bad)]));
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{bad}");
        }
    }

    #[test]
    fn s17_pages_of_other_sites_make_the_gateway_read_nothing() {
        let site = |name: &'static str, mode: &'static str| {
            let mut headers = headers(&[(header::HOST, "127.0.0.1:4000")]);
            headers.insert("sec-fetch-site", HeaderValue::from_static(name));
            headers.insert("sec-fetch-mode", HeaderValue::from_static(mode));
            headers
        };
        for fine in [
            site("none", "navigate"),
            site("cross-site", "navigate"),
            site("same-origin", "no-cors"),
            headers(&[]),
        ] {
            assert_eq!(check_page(&fine, &[]), Ok(()), "{fine:?}");
        }
        let origins = ["https://app.example".to_owned()];
        let from = |origin| headers(&[(header::HOST, "127.0.0.1:4000"), (header::ORIGIN, origin)]);
        assert_eq!(check_page(&from("https://app.example"), &origins), Ok(()));
        for refused in [
            site("cross-site", "no-cors"),
            site("cross-site", "cors"),
            site("same-site", "no-cors"),
            from("https://evil.example"),
            from("https://app.example.evil.example"),
            from("null"),
        ] {
            let answer = check_page(&refused, &origins);
            assert_eq!(answer, Err(StatusCode::FORBIDDEN), "{refused:?}");
        }
    }

    #[test]
    fn s16_only_the_token_opens() {
        let token = Token::random().unwrap();
        let good = format!("Bearer {}", token.text());
        assert_eq!(
            check_token(&headers(&[(header::AUTHORIZATION, &good)]), &token),
            Ok(())
        );
        let other = format!("Bearer {}", Token::random().unwrap().text());
        for bad in [
            "",
            "Bearer ",
            "Bearer",
            &token.text(),
            &other,
            good.trim_end_matches(|_| true),
        ] {
            let refused = check_token(&headers(&[(header::AUTHORIZATION, bad)]), &token);
            assert_eq!(refused, Err(StatusCode::UNAUTHORIZED), "{bad}");
        }
        assert_eq!(
            check_token(&headers(&[]), &token),
            Err(StatusCode::UNAUTHORIZED)
        );
    }
}

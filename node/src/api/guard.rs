//! Who may talk to a local HTTP listener: checks of `Host`, `Origin` and the token.
//!
//! Any web page in the user's browser can send requests to loopback. A page cannot choose `Host`
//! against the name that it was loaded from (DNS rebinding shows there), cannot hide its `Origin`,
//! and cannot know the token.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
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
    let authority = authority.ok_or(StatusCode::BAD_REQUEST)?;
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

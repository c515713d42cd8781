//! Entry of each HTTP request: method and path.

use std::sync::Arc;

use net::Answer;
use net::http::{Field, Handler, Method, Request, Response, status};

use crate::globals::{self, Globals};
use crate::request::FileRequest;
use crate::service::Service;
use crate::target;

pub(crate) struct HttpHandler(Arc<Service>);

impl HttpHandler {
    pub(crate) fn new(service: Service) -> HttpHandler {
        HttpHandler(Arc::new(service))
    }
}

impl Handler for HttpHandler {
    /// One for the connection to a storage.
    const DESCRIPTORS: usize = 1;

    fn kept_descriptors(&self) -> usize {
        globals::kept_files()
    }

    fn common_fields(&self, origin: Option<&str>) -> Vec<Field> {
        let HttpHandler(service) = self;
        service.globals.get().cors.common_fields(origin)
    }

    fn handle(&self, request: Request) -> Answer<Response> {
        let HttpHandler(service) = self;
        let globals = service.globals.get();
        if let Some(response) = globals.cors.preflight(&request) {
            return Answer::Now(response);
        }
        if !matches!(request.method, Method::Get | Method::Head) {
            let refusal = Response::text(status::METHOD_NOT_ALLOWED, "method not allowed");
            return Answer::Now(refusal.with("Allow", "GET, HEAD"));
        }
        let Globals {
            app,
            user,
            protection,
            ..
        } = &*globals;
        let signed = match protection.open(&request, request.client) {
            Ok(signed) => signed,
            Err(refusal) => return Answer::Now(refusal),
        };
        let Some(target) = target::parse(signed.path, app, user.as_ref()) else {
            return Answer::Now(Response::text(status::NOT_FOUND, "not found"));
        };
        if let Err(refusal) = protection.check(&signed, &target.key) {
            return Answer::Now(refusal);
        }
        let mut target = target.of_query(request.query());
        target.expiry = signed.expiry;
        FileRequest::new(Arc::clone(service), request, target).begin()
    }
}

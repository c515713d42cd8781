//! Entry of each HTTP request: method and path.

use std::sync::Arc;

use net::Answer;
use net::http::{Handler, Method, Request, Response, status};

use crate::globals::Globals;
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

    fn handle(&self, request: Request) -> Answer<Response> {
        if !matches!(request.method, Method::Get | Method::Head) {
            let refusal = Response::text(status::METHOD_NOT_ALLOWED, "method not allowed");
            return Answer::Now(refusal.with("Allow", "GET, HEAD"));
        }
        let HttpHandler(service) = self;
        let globals = service.globals.get();
        let Globals { app, user, .. } = &*globals;
        let Some(target) = target::parse(request.path(), app, user.as_ref()) else {
            return Answer::Now(Response::text(status::NOT_FOUND, "not found"));
        };
        FileRequest::new(Arc::clone(service), request, target).begin()
    }
}

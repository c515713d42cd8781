// njs, for nginx: `js_import tnv from sign.js;` and `js_content tnv.redirect;` in a location that checks
// the user. It redirects /play/app/user/film to the signed URL of /files/app/user/film.
import crypto from 'crypto';
import fs from 'fs';

function encode(segment) {
    return encodeURIComponent(segment).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}

function sign(key, expires, limits, client, segments) {
    const path = '/' + segments.map(encode).join('/');
    const text = ['tnv url 1', expires, limits, client, path].join('\n');
    const signature = crypto.createHmac('sha256', key).update(text).digest('base64url');
    return '/s/' + [expires, limits, signature].filter((part) => part !== '').join('.') + path;
}

function redirect(r) {
    const key = fs.readFileSync(r.variables.tnv_url_key_file, 'utf8').split('\n')[0];
    const expires = Math.floor(Date.now() / 1000) + 7200;
    const segments = r.uri.split('/').slice(2);
    r.return(302, sign(key, expires, '', '', ['files'].concat(segments)));
}

export default { sign, redirect };

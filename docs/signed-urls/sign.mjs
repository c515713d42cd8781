// node sign.mjs KEY EXPIRES LIMITS CLIENT SEGMENT...
import { createHmac } from 'node:crypto';

// encodeURIComponent leaves more bytes as they are.
const encode = (segment) => encodeURIComponent(segment)
    .replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

export function sign(key, expires, limits, client, segments) {
    const path = '/' + segments.map(encode).join('/');
    const text = `tnv url 1\n${expires}\n${limits}\n${client}\n${path}`;
    const signature = createHmac('sha256', key).update(text).digest('base64url');
    return '/s/' + [expires, limits, signature].filter(Boolean).join('.') + path;
}

const [key, expires, limits, client, ...segments] = process.argv.slice(2);
console.log(sign(key, expires, limits, client, segments));

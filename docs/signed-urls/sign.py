# python3 sign.py KEY EXPIRES LIMITS CLIENT SEGMENT...
import base64, hashlib, hmac, sys
from urllib.parse import quote


def sign(key, expires, limits, client, segments):
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    text = f"tnv url 1\n{expires}\n{limits}\n{client}\n{path}"
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return "/s/" + ".".join(filter(None, [expires, limits, signature])) + path


if __name__ == "__main__":
    print(sign(*sys.argv[1:5], sys.argv[5:]))

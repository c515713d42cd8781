// java Sign.java KEY EXPIRES LIMITS CLIENT SEGMENT...
import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.URLEncoder;
import java.util.*;
import java.util.stream.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Sign {
    static String sign(String key, String expires, String limits, String client, Stream<String> segments)
            throws Exception {
        String path = "/" + segments.map(Sign::encode).collect(Collectors.joining("/"));
        String text = String.join("\n", "tnv url 1", expires, limits, client, path);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key.getBytes(UTF_8), "HmacSHA256"));
        String signature = Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal(text.getBytes(UTF_8)));
        return "/s/" + expires + (limits.isEmpty() ? "." : "." + limits + ".") + signature + path;
    }

    // URLEncoder writes the encoding of forms.
    static String encode(String segment) {
        return URLEncoder.encode(segment, UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    public static void main(String[] args) throws Exception {
        System.out.println(sign(args[0], args[1], args[2], args[3], Arrays.stream(args).skip(4)));
    }
}

<?php
// php sign.php KEY EXPIRES LIMITS CLIENT SEGMENT...
function sign($key, $expires, $limits, $client, $segments) {
    $path = '/' . implode('/', array_map('rawurlencode', $segments));
    $text = "tnv url 1\n$expires\n$limits\n$client\n$path";
    $signature = base64_encode(hash_hmac('sha256', $text, $key, true));
    $signature = rtrim(strtr($signature, '+/', '-_'), '=');
    return '/s/' . implode('.', array_filter([$expires, $limits, $signature], 'strlen')) . $path;
}

echo sign($argv[1], $argv[2], $argv[3], $argv[4], array_slice($argv, 5)), "\n";

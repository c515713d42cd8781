#!/bin/sh
# Makes demo.mp4 and demo.webm anew: a moving test picture with the time in it, and a small melody.
# Needs ffmpeg with libx264, libvpx-vp9 and libopus, and any font that fontconfig finds; neither is
# needed to build or test tnv, because the results are kept beside this script.
set -eu
cd "$(dirname "$0")"

SECONDS_LONG=12

# The picture counts in seconds and milliseconds, so that a seek shows where it led.
PICTURE="testsrc2=size=640x360:rate=25:duration=$SECONDS_LONG"
TIMER="drawtext=text='tnv  %{pts\\:hms}':x=24:y=h-64:fontsize=36:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=10"

# Eight notes of a major scale, half a second each, with a short fade so that they do not click.
NOTE="floor(mod(2*t\\,8))"
PITCH="262*pow(2\\,(st(0\\,$NOTE)*2-gte(ld(0)\\,3)-gte(ld(0)\\,7))/12)"
MELODY="aevalsrc=exprs='0.25*sin(2*PI*t*$PITCH)*min(1\\,12*(0.5-mod(t\\,0.5)))':sample_rate=48000:duration=$SECONDS_LONG"

make_video() {
    output=$1
    shift
    ffmpeg -hide_banner -loglevel error -y \
        -f lavfi -i "$PICTURE" -f lavfi -i "$MELODY" \
        -vf "$TIMER" -pix_fmt yuv420p -map 0:v -map 1:a -map_metadata -1 -fflags +bitexact \
        "$@" "$output"
}

make_video demo.mp4 \
    -c:v libx264 -profile:v main -preset veryslow -b:v 170k -maxrate 220k -bufsize 440k -g 50 \
    -c:a aac -b:a 48k -ac 1 -movflags +faststart

make_video demo.webm \
    -c:v libvpx-vp9 -b:v 150k -maxrate 200k -g 50 -deadline good -cpu-used 2 \
    -c:a libopus -b:a 32k -ac 1

ls -l demo.mp4 demo.webm

# The beginning as streams of HLS and DASH, which share files and name byte ranges of them.
mkdir -p segments
cd segments
ffmpeg -hide_banner -loglevel error -y -i ../demo.mp4 -t 4 -c copy -map_metadata -1 -fflags +bitexact \
    -f dash -seg_duration 2 -single_file 1 -single_file_name "stream\$RepresentationID\$.mp4" \
    -hls_playlist 1 manifest.mpd
# The time of this run.
sed -i '/^#EXT-X-PROGRAM-DATE-TIME/d' ./*.m3u8
# HLS as older players know it: MPEG transport streams, a file for each segment.
mkdir -p ts
ffmpeg -hide_banner -loglevel error -y -i ../demo.mp4 -t 4 -c copy -map_metadata -1 -fflags +bitexact \
    -f hls -hls_time 2 -hls_playlist_type vod ts/index.m3u8
ls -l

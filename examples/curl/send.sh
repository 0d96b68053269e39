#!/bin/sh
# Sends a file of JSON lines, however often that takes. Once, to make the address:
#
#   curl -X PUT http://localhost:8000/sources/curl -H 'content-type: application/json' \
#     -d '{"kind":"collector","topic":"logs.curl","id":"{id|}"}'
#   sh examples/curl/send.sh events.ndjson
#   curl -s 'http://localhost:8000/events?topic=logs.curl'
#
# It tries again after a cut connection as well, which curl by itself would not, since it cannot know what became of the request.
exec curl -sS --retry 100 --retry-all-errors --retry-delay 1 -X POST \
  -H 'content-type: application/x-ndjson' -H "authorization: Bearer ${CHRONICLEWEAVER_KEY:-none}" \
  --data-binary "@$1" "${CHRONICLEWEAVER_URL:-http://localhost:8000}/in/curl"

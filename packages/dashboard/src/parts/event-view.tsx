import { useState } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { field, textIn, writeExact } from '../json/fields.ts';
import { SERVICE_URL } from '../service/address.ts';
import { key } from '../service/key.ts';
import { Copy } from './copy.tsx';
import { Time } from './time.tsx';
import { Tree } from './tree.tsx';

/** One event, with every digit as it was published. */
export function EventView({ event, text }: { event: Json; text: string }) {
  const [isText, showText] = useState(false);
  return (
    <div class="event">
      <dl class="pairs">
        <dt>Offset</dt>
        <dd>{textIn(event, 'offset')}</dd>
        <dt>Topic</dt>
        <dd>{textIn(event, 'topic')}</dd>
        <dt>Id</dt>
        <dd>{textIn(event, 'event_id')}</dd>
        <dt>Source</dt>
        <dd>{textIn(event, 'source')}</dd>
        <dt>Timestamp</dt>
        <dd>
          <Time iso={textIn(event, 'timestamp')} />
        </dd>
        <dt>Committed</dt>
        <dd>
          <Time iso={textIn(event, 'received_at')} />
        </dd>
      </dl>
      {isText ? <pre tabIndex={0}>{writeExact(event, 2)}</pre> : <Payload event={event} />}
      <div class="row">
        <button type="button" class="quiet" aria-pressed={isText} onClick={() => showText(!isText)}>
          {isText ? 'As a tree' : 'As text'}
        </button>
        <Copy text={text} what="the event" label="Copy JSON" />
        <Copy text={curlFor(event)} what="publishes the event again" label="Copy as curl" />
      </div>
    </div>
  );
}

function Payload({ event }: { event: Json }) {
  const payload = field(event, 'payload');
  return payload === undefined ? (
    <p class="hint">This answer has no payload.</p>
  ) : (
    <Tree json={payload} name="payload" />
  );
}

/** What was sent; the service adds the rest. */
const SENT = new Set(['event_id', 'topic', 'source', 'payload', 'timestamp']);

/** The line that publishes the event again: as a duplicate, since its id is known. */
export function curlFor(event: Json): string {
  if (event.kind !== 'object') return '';
  const members = event.members.filter(({ name }) => SENT.has(name));
  const body = writeExact({ kind: 'object', members });
  // The key itself is not copied: the line may be pasted where others read it.
  const secret = key.value === undefined ? '' : ` -H "authorization: Bearer $CHRONICLEWEAVER_KEY"`;
  return `curl -s '${SERVICE_URL}/publish?results=true'${secret} -H 'content-type: application/json' -d ${quoted(body)}`;
}

/** As a word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

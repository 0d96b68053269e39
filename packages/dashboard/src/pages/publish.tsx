import { useState } from 'preact/hooks';
import { type Json, parseExact } from '../json/exact-json.ts';
import { itemsIn, textIn, writeExact } from '../json/fields.ts';
import { curlFor } from '../parts/event-view.tsx';
import { Card, Command, Fault, Page } from '../parts/page.tsx';
import { PageLink } from '../parts/page-link.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { askJson } from '../service/ask.ts';
import { beatNow } from '../service/pulse.ts';

/** The event that is being written: the payload is JSON text, sent digit for digit as it was typed. */
interface Draft {
  readonly topic: string;
  readonly event_id: string;
  readonly source: string;
  readonly timestamp: string;
  readonly payload: string;
}

interface Sent {
  readonly draft: Draft;
  readonly verdict: string;
  readonly offset: string;
}

/** As many are remembered. */
const SENT_MAX = 100;

function newDraft(): Draft {
  return {
    topic: 'try.it',
    event_id: `test-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`,
    source: 'dashboard',
    timestamp: new Date().toISOString(),
    payload: '{\n  "message": "hello",\n  "amount": 12.50,\n  "big": 12345678901234567890\n}',
  };
}

/** Publish a test event and see what becomes of it, and of the same event once more. */
export function PublishPage() {
  const [draft, write] = useState(newDraft);
  const [sent, note] = useState<readonly Sent[]>([]);
  const [error, fail] = useState<unknown>();
  const [isSending, sending] = useState(false);

  const send = async (): Promise<void> => {
    sending(true);
    fail(undefined);
    try {
      const body = writeExact(eventOf(draft));
      const [result] = itemsIn(await askJson('/publish?results=true', { method: 'POST', body }), 'results');
      const now = { draft, verdict: textIn(result, 'verdict'), offset: textIn(result, 'offset') };
      note([now, ...sent.slice(0, SENT_MAX - 1)]);
      beatNow();
    } catch (fault) {
      fail(fault);
    } finally {
      sending(false);
    }
  };
  const last = sent[0];
  const isSentAlready = sent.some(
    ({ draft: { topic, event_id: id } }) => topic === draft.topic && id === draft.event_id,
  );
  return (
    <Page title="Publish" lead="Publish a test event, see its verdict, and send it again: it is stored once.">
      <Card>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          <div class="fields">
            {(['topic', 'event_id', 'source', 'timestamp'] as const).map((name) => (
              <label key={name}>
                {LABELS[name]}
                <input
                  name={name}
                  value={draft[name]}
                  spellcheck={false}
                  onInput={({ currentTarget }) => write({ ...draft, [name]: currentTarget.value })}
                />
              </label>
            ))}
          </div>
          <label>
            Payload, a JSON object
            <textarea
              name="payload"
              rows={7}
              spellcheck={false}
              value={draft.payload}
              onInput={({ currentTarget }) => write({ ...draft, payload: currentTarget.value })}
            />
          </label>
          <div class="row">
            <button type="submit" class="main" disabled={isSending}>
              {isSentAlready ? 'Send it again' : 'Publish'}
            </button>
            <button type="button" onClick={() => write(newDraft())}>
              Another event
            </button>
          </div>
        </form>
        <div aria-live="polite">
          <Fault error={error} />
          {last !== undefined && <Verdict sent={last} />}
        </div>
      </Card>
      {sent.length > 0 && <SentList sent={sent} />}
      <Card title="The same from a terminal">
        <CurlLine draft={draft} />
      </Card>
    </Page>
  );
}

const LABELS = { topic: 'Topic', event_id: 'Event id', source: 'Source', timestamp: 'Timestamp' };

/** @throws an Error that says which field is at fault */
function eventOf({ payload, ...texts }: Draft): Json {
  const members = Object.entries(texts).map(([name, value]) => ({
    name,
    value: { kind: 'string', value } as const,
  }));
  try {
    return { kind: 'object', members: [...members, { name: 'payload', value: parseExact(payload) }] };
  } catch (error) {
    throw new Error(`the payload is not JSON: ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    });
  }
}

const MEANING: Readonly<Record<string, string>> = {
  accepted: 'It is new, and on disk. Send it again: it will be a duplicate.',
  duplicate:
    'It is stored already, with the offset that it got then. Nothing was stored twice. Change the payload and send it once more: that is a conflict.',
  conflict:
    'Another event has this id: source, timestamp or payload differ. The first one is kept, this one was dropped.',
};

function Verdict({ sent: { verdict, offset, draft } }: { sent: Sent }) {
  const page = `lookup?${new URLSearchParams({ topic: draft.topic, id: draft.event_id }).toString()}`;
  return (
    <p class="verdict">
      <strong class={verdict}>{verdict}</strong> at offset {offset}. {MEANING[verdict]}{' '}
      <PageLink page={page}>Look it up</PageLink>
    </p>
  );
}

function SentList({ sent }: { sent: readonly Sent[] }) {
  return (
    <Card title="Sent from this page">
      <WideTable label="Sent from this page">
        <thead>
          <tr>
            <th scope="col">Verdict</th>
            <th scope="col">Topic</th>
            <th scope="col">Id</th>
            <th scope="col" class="number">
              Offset
            </th>
          </tr>
        </thead>
        <tbody>
          {sent.map(({ draft, verdict, offset }, i) => (
            <tr key={sent.length - i}>
              <td class={verdict}>{verdict}</td>
              <td>{draft.topic}</td>
              <td>{draft.event_id}</td>
              <td class="number">{offset}</td>
            </tr>
          ))}
        </tbody>
      </WideTable>
    </Card>
  );
}

function CurlLine({ draft }: { draft: Draft }) {
  try {
    return <Command text={curlFor(eventOf(draft))} />;
  } catch (error) {
    return <Fault error={error} />;
  }
}

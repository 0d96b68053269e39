import { useState } from 'preact/hooks';
import { History } from '../duplicates/history.tsx';
import { parseExact } from '../json/exact-json.ts';
import { textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { EventView } from '../parts/event-view.tsx';
import { Card, Command, Fault, Page } from '../parts/page.tsx';
import { Time } from '../parts/time.tsx';
import { choose, route } from '../route.ts';
import { SearchPayloads } from '../search/search-payloads.tsx';
import { SERVICE_URL } from '../service/address.ts';
import { Refusal, ask } from '../service/ask.ts';
import { useWatched } from '../watched.ts';

/** Was this one processed? By topic and id, which takes the same time among twenty million as among two. */
export function LookupPage() {
  const { query } = useWatched(route);
  const [topic, id] = [query.get('topic') ?? '', query.get('id') ?? ''];
  return (
    <Page title="Look up" lead="Was this event processed, and what was it?">
      <Card title="By its id">
        <Search key={`${topic}\n${id}`} topic={topic} id={id} />
      </Card>
      {topic !== '' && id !== '' && <Found topic={topic} id={id} />}
      <SearchPayloads />
      <Card title="The same from a terminal">
        <Command
          text={`curl -s '${SERVICE_URL}/events/orders/order-1-placed'
curl -s '${SERVICE_URL}/events?topic=orders&order=desc' -H 'accept: application/x-ndjson' | grep -m 10 -F '"amount":12.5'`}
        />
      </Card>
    </Page>
  );
}

function Search({ topic, id }: { topic: string; id: string }) {
  const [asked, write] = useState({ topic, id });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        choose(asked);
      }}
    >
      <div class="fields">
        <label>
          Topic
          <input
            value={asked.topic}
            spellcheck={false}
            required
            onInput={({ currentTarget: { value } }) => write({ ...asked, topic: value })}
          />
        </label>
        <label>
          Event id
          <input
            name="event_id"
            value={asked.id}
            spellcheck={false}
            required
            onInput={({ currentTarget: { value } }) => write({ ...asked, id: value })}
          />
        </label>
      </div>
      <div class="row">
        <button type="submit" class="main">
          Look it up
        </button>
      </div>
    </form>
  );
}

function Found({ topic, id }: { topic: string; id: string }) {
  const path = `/events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}`;
  const { answer, error } = useAsked(path, (signal) => ask(path, { signal }));
  return (
    <div aria-live="polite">
      {answer !== undefined && (
        <Card title="It is here">
          <EventView event={parseExact(answer.text)} text={answer.text} />
        </Card>
      )}
      {error !== undefined && <Absent error={error} topic={topic} id={id} />}
      <History topic={topic} id={id} />
    </div>
  );
}

function Absent({ error, topic, id }: { error: unknown; topic: string; id: string }) {
  const code = error instanceof Refusal ? error.code : '';
  if (code === 'event_not_found') {
    return (
      <Card title="Never seen here">
        <p>
          No event with the id <code>{id}</code> was ever accepted in the topic <code>{topic}</code>, or its
          id was forgotten on request. Published now, it would be accepted. The same id in another topic is
          another event.
        </p>
      </Card>
    );
  }
  if (error instanceof Refusal && code === 'event_expired') {
    return (
      <Card title="Processed, and no longer kept">
        <p>
          It was accepted at offset {textIn(error.problem, 'offset')},{' '}
          <Time iso={textIn(error.problem, 'received_at')} />. Its text has expired or was never stored; its
          id is known, so a retry is still a duplicate.
        </p>
      </Card>
    );
  }
  return <Fault error={error} />;
}

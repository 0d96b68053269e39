import { useState } from 'preact/hooks';
import type { Json } from '../json/exact-json.ts';
import { itemsIn, textIn, writeExact } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { Confirm } from '../parts/confirm.tsx';
import { EventView } from '../parts/event-view.tsx';
import { countOf, grouped } from '@chronicleweaver/vitals';
import { Card, Fault } from '../parts/page.tsx';
import { Time } from '../parts/time.tsx';
import { ask, askJson } from '../service/ask.ts';

interface Props {
  /** Of the group. */
  readonly path: string;
  /** How many there are: when that changes, the list is asked for anew. */
  readonly count: string;
  readonly changed: () => void;
}

/** Events on a page. */
const LIMIT = 100;

/** Events that were delivered as often as allowed: look at them, and deliver one, some or all again. */
export function DeadEvents({ path, count, changed }: Props) {
  const [after, turn] = useState('0');
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set());
  const [fault, fail] = useState<unknown>();
  const question = count === '0' ? null : `${path}/dead?limit=${LIMIT}&after=${after}`;
  const { answer, error, again } = useAsked(`${question} ${count}`, async (signal) =>
    question === null ? undefined : askJson(question, { signal }),
  );
  const replay = async (offsets: readonly string[] | undefined): Promise<void> => {
    const body = offsets === undefined ? '{}' : `{"offsets":[${offsets.join()}]}`;
    await ask(`${path}/dead/replay`, { method: 'POST', body });
    choose(new Set());
    again();
    changed();
  };
  const replaySome = (offsets: readonly string[]): void => {
    fail(undefined);
    replay(offsets).catch(fail);
  };
  const toggle = (offset: string): void => {
    const next = new Set(chosen);
    if (!next.delete(offset)) next.add(offset);
    choose(next);
  };
  if (count === '0') return null;
  const next = textIn(answer, 'next');
  return (
    <Card title={`Dead events: ${grouped(count)}`}>
      <Fault error={error ?? fault} />
      <div class="row">
        <button type="button" disabled={chosen.size === 0} onClick={() => replaySome([...chosen])}>
          Replay the {chosen.size} chosen
        </button>
        <Confirm label="Replay all" title={`Replay all ${grouped(count)}`} act={() => replay(undefined)}>
          <p>
            Every dead event of this group is delivered again, as often as a new one would be; 10,000 at a
            time, the lowest offsets first. Those that fail again will be dead again.
          </p>
        </Confirm>
      </div>
      <ul class="dead">
        {itemsIn(answer, 'events').map((event) => (
          <DeadEvent
            key={textIn(event, 'offset')}
            event={event}
            isChosen={chosen.has(textIn(event, 'offset'))}
            toggle={toggle}
            replay={(offset) => replaySome([offset])}
          />
        ))}
      </ul>
      <div class="row">
        {after !== '0' && (
          <button type="button" onClick={() => turn('0')}>
            First page
          </button>
        )}
        {next !== '' && (
          <button type="button" onClick={() => turn(next)}>
            Next page
          </button>
        )}
      </div>
    </Card>
  );
}

interface DeadEventProps {
  readonly event: Json;
  readonly isChosen: boolean;
  readonly toggle: (offset: string) => void;
  readonly replay: (offset: string) => void;
}

function DeadEvent({ event, isChosen, toggle, replay }: DeadEventProps) {
  const [isOpen, open] = useState(false);
  const offset = textIn(event, 'offset');
  const isExpired = textIn(event, 'expired') === 'true';
  return (
    <li>
      <div class="row">
        <label>
          <input type="checkbox" checked={isChosen} onChange={() => toggle(offset)} />{' '}
          <span class="unseen">choose the event at offset </span>
          {offset}
        </label>
        <span class="grow">
          {isExpired ? 'its text has expired' : `${textIn(event, 'topic')} / ${textIn(event, 'event_id')}`}
          <br />
          <small>
            {REASONS[textIn(event, 'reason')] ?? textIn(event, 'reason')} after{' '}
            {countOf(textIn(event, 'deliveries'), 'delivery', 'deliveries')},{' '}
            <Time iso={textIn(event, 'dead_at')} />
          </small>
        </span>
        <span class="row">
          {!isExpired && (
            <button type="button" class="quiet" aria-expanded={isOpen} onClick={() => open(!isOpen)}>
              {isOpen ? 'Close' : 'Open'}
              <span class="unseen"> the event at offset {offset}</span>
            </button>
          )}
          <button type="button" class="quiet" onClick={() => replay(offset)}>
            Replay<span class="unseen"> the event at offset {offset}</span>
          </button>
        </span>
      </div>
      {isOpen && <EventView event={event} text={writeExact(event)} />}
    </li>
  );
}

const REASONS: Readonly<Record<string, string>> = {
  lease_expired: 'not acknowledged in time',
  given_back: 'given back by its worker, or refused by the webhook',
};

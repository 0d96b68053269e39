import { itemsIn, plainText } from '../json/fields.ts';
import type { Json } from '../json/exact-json.ts';
import { useAsked } from '../parts/asked.ts';
import { countOf, grouped } from '@chronicleweaver/vitals';
import { type Place, eventsFrom, placeText } from './place.ts';

/** Where to go on from, chosen by its reader. Local times are sent in UTC. */
export function PlaceChoice({ place, choose }: { place: Place; choose: (place: Place) => void }) {
  return (
    <div class="row">
      <label>
        From
        <select value={place.at} onChange={({ currentTarget: { value } }) => choose(placeOf(value))}>
          <option value="latest">the end of the log: only what is yet to come</option>
          <option value="earliest">the first event that is kept</option>
          <option value="offset">an offset</option>
          <option value="time">a time</option>
        </select>
      </label>
      {place.at === 'offset' && (
        <label>
          Offset of the first event
          <input
            value={place.offset}
            inputMode="numeric"
            onInput={({ currentTarget: { value } }) => choose({ at: 'offset', offset: value.trim() })}
          />
        </label>
      )}
      {place.at === 'time' && (
        <label>
          Committed at or after, your time
          <input
            type="datetime-local"
            step="1"
            onInput={({ currentTarget: { value } }) => {
              const ms = Date.parse(value);
              choose({ at: 'time', time: Number.isNaN(ms) ? '' : new Date(ms).toISOString() });
            }}
          />
        </label>
      )}
    </div>
  );
}

function placeOf(at: string): Place {
  if (at === 'offset') return { at, offset: '' };
  if (at === 'time') return { at, time: '' };
  return { at: at === 'earliest' ? 'earliest' : 'latest' };
}

/** How many events that means. */
export function Preview({ place, patterns }: { place: Place; patterns: readonly string[] }) {
  const question = `${placeText(place)} ${JSON.stringify(patterns)}`;
  const { answer, error } = useAsked(question, async (signal) => ({
    events: await eventsFrom(place, patterns, signal),
  }));
  return (
    <p class="preview" role="status">
      {answer === undefined && error === undefined && 'Counting …'}
      {error !== undefined && 'How many events that means cannot be told with this key.'}
      {answer !== undefined &&
        answer.events === undefined &&
        'Choose a place to see how many events that means.'}
      {answer?.events !== undefined && saidOf(answer.events)}
    </p>
  );
}

function saidOf({ least, most }: { least: bigint; most: bigint }): string {
  if (most === 0n)
    return 'No event that is in the log now would be delivered, only those that come from now on.';
  const many = countOf(String(most), 'event', 'events');
  const events = least === most ? many : `Between ${grouped(String(least))} and ${many}`;
  return `${events} that ${many.startsWith('1 ') ? 'is' : 'are'} in the log now would be delivered, then those that come.`;
}

export function patternsOf(group: Json): string[] {
  return itemsIn(group, 'topics').map((topic) => plainText(topic));
}

import { useState } from 'preact/hooks';
import { PlaceChoice, Preview } from '../groups/place-choice.tsx';
import { type Place, placeText } from '../groups/place.ts';
import { patternsIn } from '../live/patterns.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Copy } from '../parts/copy.tsx';
import { Card } from '../parts/page.tsx';
import { goTo } from '../route.ts';
import { ask } from '../service/ask.ts';

interface Draft {
  readonly name: string;
  readonly topics: string;
  readonly place: Place;
  readonly lease_ms: string;
  readonly max_deliveries: string;
  readonly url: string;
}

const EMPTY: Draft = {
  name: '',
  topics: '',
  place: { at: 'latest' },
  lease_ms: '',
  max_deliveries: '',
  url: '',
};

/** Makes a group or a webhook, after saying what it would begin with. */
export function NewGroup({ names, made }: { names: readonly string[]; made: () => void }) {
  const [draft, write] = useState(EMPTY);
  const [secret] = useState(newSecret);
  const patterns = patternsIn(draft.topics);
  const name = draft.name.trim();
  const isTaken = names.includes(name);
  const make = async (): Promise<void> => {
    await ask(`/subscriptions/${encodeURIComponent(name)}`, { method: 'PUT', body: bodyOf(draft, secret) });
    made();
    goTo(`groups?name=${encodeURIComponent(name)}`);
  };
  const input = (
    member: 'name' | 'topics' | 'lease_ms' | 'max_deliveries' | 'url',
    label: string,
    hint = '',
  ) => (
    <label>
      {label}
      <input
        value={draft[member]}
        placeholder={hint}
        spellcheck={false}
        onInput={({ currentTarget: { value } }) => write({ ...draft, [member]: value })}
      />
    </label>
  );
  return (
    <Card title="Make a group or a webhook">
      <div class="fields">
        {input('name', 'Name', 'mailers')}
        {input('topics', 'Topics, separated by blanks', 'orders.> payments.*')}
        {input('lease_ms', 'A lease lasts, ms', '30000')}
        {input('max_deliveries', 'Deliveries at most', '5')}
        {input('url', 'Address, if it is a webhook', 'https://billing.example.org/hook')}
      </div>
      <PlaceChoice place={draft.place} choose={(place) => write({ ...draft, place })} />
      {isTaken && (
        <p class="conflict">
          There is a group of this name: the same definition changes nothing, and another is refused.
        </p>
      )}
      <div class="row">
        <Confirm
          label={draft.url.trim() === '' ? 'Make the group' : 'Make the webhook'}
          title={`Make ${name}`}
          act={make}
          disabled={name === '' || patterns.length === 0}
        >
          <Preview place={draft.place} patterns={patterns} />
          {draft.url.trim() === '' ? (
            <p>
              Nothing is delivered before a worker pulls. Events that a policy lets go of wait until this
              group has finished them.
            </p>
          ) : (
            <>
              <p>
                The events are sent to {draft.url.trim()} at once, one after another, each signed with this
                secret. It is shown here and never again:
              </p>
              <p>
                <code>{secret}</code> <Copy text={secret} what="the secret" />
              </p>
            </>
          )}
        </Confirm>
      </div>
    </Card>
  );
}

/** What was left empty is left to the service. Numbers go out as they were typed, and the service says what is wrong with them. */
function bodyOf(
  { topics, place, lease_ms: leaseMs, max_deliveries: deliveriesMax, url }: Draft,
  secret: string,
): string {
  const members = [`"topics":${JSON.stringify(patternsIn(topics))}`, `"start":${placeText(place)}`];
  const number = (name: string, text: string): void => {
    if (text.trim() !== '')
      members.push(`"${name}":${/^\d+$/.test(text.trim()) ? text.trim() : JSON.stringify(text)}`);
  };
  number('lease_ms', leaseMs);
  number('max_deliveries', deliveriesMax);
  if (url.trim() !== '') members.push(`"push":${JSON.stringify({ url: url.trim(), secret })}`);
  return `{${members.join()}}`;
}

/** As Standard Webhooks has them: 32 random bytes. */
function newSecret(): string {
  return `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))}`;
}

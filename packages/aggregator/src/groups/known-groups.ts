import type { Logger } from 'pino';
import type { Commits } from '../commits/commits.ts';
import type { EventStore } from '../store/event-store.ts';
import type { GroupNews } from '../store/group-news.ts';
import type { GroupState } from '../store/group-store.ts';
import { WebhookSender } from '../webhooks/sender.ts';
import { Dispatcher } from './dispatcher.ts';
import type { PushTiming } from './push-timing.ts';
import { PUSHED_AT_ONCE, Pusher } from './pusher.ts';
import type { SharedSteps } from './shared-steps.ts';

/** Events of one group that may be leased or returned at once: what a group that stands still costs at most. */
const OUTSTANDING_MAX = 100_000;

/** How events are sent where they are not pulled. */
export interface PushSettings {
  /** Whether addresses that are not of the public internet may be sent to. */
  readonly allowPrivate: boolean;
  readonly timing: PushTiming;
}

export interface GroupsParts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly push: PushSettings;
  readonly log: Logger;
}

/** What is known of one group, and who hands out its events. */
export interface KnownGroup {
  readonly id: number;
  readonly name: string;
  readonly secret: Uint8Array;
  readonly topics: readonly string[];
  readonly leaseMs: number;
  readonly dispatcher: Dispatcher;
  /** Null where its events are pulled. */
  readonly pusher: Pusher | null;
}

/**
 * The groups that this process knows, each with whoever hands out its events. In: lookups by name, and news of the store
 * about what was done to groups here and elsewhere. Out: dispatchers and pushers that know of it.
 *
 * A group is known from its first use on, one that pushes from the start or its making; any other is looked up in the
 * store when it is asked for. It is forgotten when the store says that it was deleted, or a step on it found it gone. What
 * is known is a hint: the store decides every step.
 */
export class KnownGroups {
  readonly #parts: GroupsParts;
  readonly #steps: SharedSteps;
  readonly #sender: WebhookSender;
  readonly #byName = new Map<string, KnownGroup>();
  readonly #byId = new Map<number, KnownGroup>();
  /** Pushers whose groups are gone and that have a request under way. */
  readonly #ending = new Set<Promise<void>>();
  readonly #stopListening: readonly (() => void)[];
  #isClosed = false;

  constructor(parts: GroupsParts, steps: SharedSteps) {
    const { store, commits, push } = parts;
    this.#parts = parts;
    this.#steps = steps;
    this.#sender = new WebhookSender({ allowPrivate: push.allowPrivate, timeoutMs: push.timing.answerMs });
    this.#stopListening = [
      commits.listen((commit) => {
        for (const { dispatcher } of this.#byId.values()) dispatcher.committed(commit);
      }),
      store.groups.watch((news) => this.#heard(news)),
    ];
  }

  /** Begins to send the events of those that push. */
  async open(): Promise<void> {
    for (const state of await this.#steps.do('list')) if (state.definition.push !== null) this.enter(state);
  }

  withId(id: number): KnownGroup | undefined {
    return this.#byId.get(id);
  }

  /** The group of the name, if there is one; rejects with the store's error where that cannot be told. */
  async lookUp(name: string): Promise<KnownGroup | undefined> {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const state = await this.#steps.do('find', name);
    return state === null ? undefined : this.enter(state);
  }

  /** Makes it known, as the store has it. */
  enter(state: GroupState): KnownGroup {
    const { id, secret, definition } = state;
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const { store, commits, push, log } = this.#parts;
    const isPushed = definition.push !== null;
    const parts = { store, commits, steps: this.#steps };
    const dispatcher = new Dispatcher(parts, state, isPushed ? PUSHED_AT_ONCE : OUTSTANDING_MAX);
    const sending = { dispatcher, steps: this.#steps, timing: push.timing, sender: this.#sender, log };
    const { name, topics, leaseMs } = definition;
    const pusher = isPushed ? new Pusher(sending, state) : null;
    const group = { id, name, secret, topics, leaseMs, dispatcher, pusher };
    this.#byName.set(name, group);
    this.#byId.set(id, group);
    return group;
  }

  /** It is gone: tells whoever waits for its events, and stops sending them. */
  forget({ id, name, dispatcher, pusher }: KnownGroup): void {
    if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
    this.#byId.delete(id);
    dispatcher.gone();
    if (pusher === null) return;
    const ended = pusher.close().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** Sends nothing more, and answers whoever waits with nothing. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const groups = [...this.#byId.values()];
    // First those who give back what they hold.
    await Promise.all(groups.flatMap(({ pusher }) => (pusher === null ? [] : [pusher.close()])));
    await Promise.all(this.#ending);
    this.#sender.close();
    await Promise.all(groups.map(({ dispatcher }) => dispatcher.close()));
    for (const stop of this.#stopListening) stop();
  }

  #heard(news: GroupNews): void {
    const group = this.#byId.get(news.id);
    switch (news.kind) {
      case 'made':
        // One that is pulled is looked up when somebody asks for it.
        if (news.isPushed && group === undefined) this.#beginToSend(news.name);
        break;
      case 'removed':
        if (group !== undefined) this.forget(group);
        break;
      case 'push_changed':
        group?.pusher?.changed();
        break;
      case 'sought':
        group?.dispatcher.sought(news.position);
        break;
      case 'moved':
        group?.dispatcher.moved(news.hasRoom, news.dueInMs);
        break;
    }
  }

  #beginToSend(name: string): void {
    if (this.#isClosed) return;
    this.lookUp(name).catch((error: unknown) => {
      this.#parts.log.error(
        { err: error, group: name },
        'a webhook could not be looked up, and is not sent from here',
      );
    });
  }
}

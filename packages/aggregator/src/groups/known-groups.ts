import type { Logger } from 'pino';
import type { Commits } from '../commits/commits.ts';
import type { EventStore } from '../store/event-store.ts';
import type { GroupNews } from '../store/group-news.ts';
import type { GroupState } from '../store/group-store.ts';
import { WebhookSender } from '../webhooks/sender.ts';
import { Dispatcher } from './dispatcher.ts';
import type { PushTiming } from './push-timing.ts';
import { type AttemptOutcome, PUSHED_AT_ONCE, Pusher } from './pusher.ts';
import type { SharedSteps } from './shared-steps.ts';

/** Events of one group that may be leased or returned at once: bounds what a stalled group costs. */
export const OUTSTANDING_MAX = 100_000;

/** How the events of push groups are sent. */
export interface PushSettings {
  /** Whether events may be sent to addresses outside the public internet. */
  readonly allowPrivate: boolean;
  readonly timing: PushTiming;
  /** Told of each attempt whose outcome counts. */
  readonly attempted: (outcome: AttemptOutcome) => void;
}

export interface GroupsParts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly push: PushSettings;
  readonly log: Logger;
}

/** What is known of one group, and what hands out its events. */
export interface KnownGroup {
  readonly id: number;
  readonly name: string;
  readonly secret: Uint8Array;
  readonly topics: readonly string[];
  readonly leaseMs: number;
  readonly dispatcher: Dispatcher;
  /** Null if its events are pulled. */
  readonly pusher: Pusher | null;
}

/**
 * The groups that this process knows, each with what hands out its events. In: lookups by name, and the store's news
 * of changes to groups, made here or elsewhere. Out: dispatchers and pushers that know of these changes.
 *
 * A group that pushes is known from the start of the process or the group's creation; any other from its first use,
 * when it is looked up in the store. A group is forgotten when the store reports its deletion, or a step finds it
 * gone. What is known is only a hint: the store decides every step.
 */
export class KnownGroups {
  readonly #parts: GroupsParts;
  readonly #steps: SharedSteps;
  readonly #sender: WebhookSender;
  readonly #byName = new Map<string, KnownGroup>();
  readonly #byId = new Map<number, KnownGroup>();
  /** What closes by itself: pushers of deleted groups, and dispatchers looked up during the close. */
  readonly #ending = new Set<Promise<void>>();
  readonly #stopListening: readonly (() => void)[];
  /** How often all was looked up again: what the store has told before may be of groups that are gone. */
  #begun = 0;
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
      commits.listenEpochs(() => this.#beginAnew()),
      store.groups.watch((news) => this.#heard(news)),
      ...(store.retention === null
        ? []
        : [
            store.retention.watch((expiry) => {
              for (const { dispatcher } of this.#byId.values()) dispatcher.expired(expiry);
            }),
          ]),
    ];
  }

  /** Begins to send the events of those that push. */
  async open(): Promise<void> {
    const begun = this.#begun;
    const states = await this.#steps.do('list');
    // They are being listed anew.
    if (begun !== this.#begun) return;
    for (const state of states) if (state.definition.push !== null) this.enter(state);
  }

  withId(id: number): KnownGroup | undefined {
    return this.#byId.get(id);
  }

  /** The group with this name, if there is one. Rejects with the store's error if it cannot tell. */
  async lookUp(name: string): Promise<KnownGroup | undefined> {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const begun = this.#begun;
    const state = await this.#steps.do('find', name);
    if (begun !== this.#begun) return this.lookUp(name);
    return state === null ? undefined : this.enter(state);
  }

  /** Makes a group known, in the state that the store has. */
  enter(state: GroupState): KnownGroup {
    const { id, secret, definition } = state;
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const { store, commits, push, log } = this.#parts;
    const isPushed = definition.push !== null;
    const parts = { store, commits, steps: this.#steps };
    const dispatcher = new Dispatcher(parts, state, isPushed ? PUSHED_AT_ONCE : OUTSTANDING_MAX);
    const sending = {
      dispatcher,
      steps: this.#steps,
      timing: push.timing,
      sender: this.#sender,
      attempted: push.attempted,
      log,
    };
    const { name, topics, leaseMs } = definition;
    const pusher = isPushed && !this.#isClosed ? new Pusher(sending, state) : null;
    const group = { id, name, secret, topics, leaseMs, dispatcher, pusher };
    this.#byName.set(name, group);
    this.#byId.set(id, group);
    // Looked up during the close: nobody else closes it.
    if (this.#isClosed) this.#end(dispatcher.close());
    return group;
  }

  /** The group is gone: refuses those waiting for its events, and stops sending them. */
  forget({ id, name, dispatcher, pusher }: KnownGroup): void {
    if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
    this.#byId.delete(id);
    dispatcher.gone();
    if (pusher === null) return;
    this.#end(pusher.close());
  }

  /** What is known may be of events and leases that are gone: waiting pulls get nothing, and all is looked up again. */
  #beginAnew(): void {
    this.#begun += 1;
    for (const { dispatcher, pusher } of this.#byId.values()) {
      if (pusher !== null) this.#end(pusher.close());
      this.#end(dispatcher.close());
    }
    this.#byName.clear();
    this.#byId.clear();
    if (this.#isClosed) return;
    this.open().catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'a webhook could not be looked up, and is not sent from here');
    });
  }

  /** Stops sending, and answers waiting pulls with nothing. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const groups = [...this.#byId.values()];
    // The pushers go first: they give back what they hold.
    await Promise.all(groups.flatMap(({ pusher }) => (pusher === null ? [] : [pusher.close()])));
    await Promise.all(this.#ending);
    this.#sender.close();
    await Promise.all(groups.map(({ dispatcher }) => dispatcher.close()));
    for (const stop of this.#stopListening) stop();
  }

  #end(closing: Promise<void>): void {
    const ended = closing.finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #heard(news: GroupNews): void {
    const group = this.#byId.get(news.id);
    switch (news.kind) {
      case 'made':
        // A group that is pulled is looked up when somebody asks for it.
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

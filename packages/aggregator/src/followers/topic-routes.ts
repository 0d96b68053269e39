import type { TopicFilter } from '../store/event-store.ts';

/**
 * Words of a pattern that are looked at: enough to tell nearly all apart, and few enough that what follows many long
 * patterns takes little memory, and that a topic meets at most 2 to that power of branches.
 */
const WORDS_MAX = 8;

/** A place behind some words of patterns. */
class Branch<T> {
  readonly words = new Map<string, Branch<T>>();
  any: Branch<T> | null = null;
  readonly values = new Set<T>();

  get isEmpty(): boolean {
    return this.values.size === 0 && this.words.size === 0 && this.any === null;
  }
}

/**
 * Finds by a topic the values whose filter may mean it: all that do, and few that do not, so the filter has the last word.
 * The work grows with the words of the topic and not with the number of values. A tree with a word a level: thousands of
 * followers, each of a topic of its own, are told apart in a few steps.
 */
export class TopicRoutes<T> {
  readonly #root = new Branch<T>();

  add(filter: TopicFilter, value: T): void {
    for (const path of pathsOf(filter)) {
      let branch = this.#root;
      for (const word of path) branch = grown(branch, word);
      branch.values.add(value);
    }
  }

  delete(filter: TopicFilter, value: T): void {
    for (const path of pathsOf(filter)) prune(this.#root, path, value);
  }

  candidates(topic: string): Set<T> {
    const found = new Set(this.#root.values);
    let level = [this.#root];
    for (const word of topic.split('.', WORDS_MAX)) {
      const next: Branch<T>[] = [];
      for (const { words, any } of level) {
        const named = words.get(word);
        if (named !== undefined) next.push(named);
        if (any !== null) next.push(any);
      }
      for (const { values } of next) for (const value of values) found.add(value);
      level = next;
    }
    return found;
  }
}

/** A word of a pattern as it stands, or ANY for the wildcard. */
type Step = string | typeof ANY;
const ANY = Symbol('*');

/** The ways to a filter's topics: of one list is enough, since a topic must pass every one. */
function pathsOf({ topic, topicPatterns = [] }: TopicFilter): Step[][] {
  if (topic !== undefined) return [topic.split('.', WORDS_MAX)];
  const [patterns = ['>']] = topicPatterns;
  return patterns.map((pattern) => {
    const words = pattern.split('.');
    if (words.at(-1) === '>') words.pop();
    return words.slice(0, WORDS_MAX).map((word) => (word === '*' ? ANY : word));
  });
}

function grown<T>(branch: Branch<T>, step: Step): Branch<T> {
  if (step === ANY) return (branch.any ??= new Branch());
  let next = branch.words.get(step);
  if (next === undefined) branch.words.set(step, (next = new Branch()));
  return next;
}

function prune<T>(branch: Branch<T>, [step, ...rest]: Step[], value: T): void {
  if (step === undefined) {
    branch.values.delete(value);
    return;
  }
  const next = step === ANY ? branch.any : branch.words.get(step);
  // Two patterns may have the same way.
  if (next === null || next === undefined) return;
  prune(next, rest, value);
  if (!next.isEmpty) return;
  if (step === ANY) branch.any = null;
  else branch.words.delete(step);
}

import { LIMITS } from '@chronicleweaver/protocol';
import { Template, shortened, templateFault } from './template.ts';

/** How a topic is made of what comes with an event: text, and names in braces in whose place stands what is so called. */
export class TopicTemplate {
  readonly #template: Template;

  /** @param text which `topicTemplateFault` accepts */
  constructor(text: string) {
    this.#template = new Template(text);
  }

  /** The names in braces. */
  get names(): readonly string[] {
    return this.#template.placeholders.map(({ field }) => field);
  }

  /**
   * A valid topic.
   *
   * @param textOf what is called so; empty if nothing is
   * @param absentOf what stands for it then, unless the template says it
   */
  topicOf(textOf: (name: string) => string, absentOf: (name: string) => string = () => 'unknown'): string {
    const topic = this.#template.fill(
      ({ field, fallback }) => topicPart(textOf(field)) || (fallback ?? absentOf(field)),
    );
    return shortened(topic, LIMITS.topicCharsMax) || 'unknown';
  }
}

/** What is wrong with a template, or undefined. */
export function topicTemplateFault(text: string): string | undefined {
  return templateFault(text, LIMITS.topicCharsMax);
}

/** A text within a topic. `*` and `>` are wildcards in patterns of topics, and topics with blanks are hard to read and to write. */
export function topicPart(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\s*>]/gu, '_');
}

/** The one parser of each placeholder. A value that passes is valid everywhere behind it. */
import { isRepositoryName, parseDigest, parseReference } from '@berth/oci'
import { Fault } from '../base/fault.ts'
import type { Placeholders } from './route.ts'

interface Placeholder<Value> {
  /** A fragment of a regular expression; only `{repository}` may cross a slash. */
  readonly pattern: string
  /** text: percent-decoded. Throws the fault that names what is wrong with it. */
  parse(text: string): Value
}

const segment = '[^/]+'

export const placeholders: { readonly [Name in keyof Placeholders]: Placeholder<Placeholders[Name]> } = {
  repository: {
    pattern: '.+',
    parse(text) {
      if (!isRepositoryName(text)) throw new Fault('nameInvalid', { value: text })
      return text
    },
  },
  digest: {
    pattern: segment,
    parse(text) {
      const digest = parseDigest(text)
      if (digest === undefined) throw new Fault('digestInvalid', { value: text })
      return digest
    },
  },
  reference: {
    pattern: segment,
    parse(text) {
      const reference = parseReference(text)
      if (reference !== undefined) return reference
      if (text.includes(':')) throw new Fault('digestInvalid', { value: text })
      throw new Fault('tagInvalid', { value: text })
    },
  },
  session: { pattern: segment, parse: (text) => text },
}

/** Finds the route of a path. Built once; a look-up tries a handful of regular expressions, each linear in the path. */
import { Fault } from '../base/fault.ts'
import { placeholders } from './placeholders.ts'
import type { Method, Placeholders, Route } from './route.ts'

export interface Match {
  readonly route: Route
  /** Parsed values by placeholder. */
  readonly parameters: Readonly<Record<string, unknown>>
}

export interface Router {
  /**
   * path: percent-decoded. Undefined when no route has such a path.
   * Faults: `methodNotAllowed` when only other methods do; whatever a placeholder's parser finds wrong.
   */
  find(method: string, path: string): Match | undefined
}

interface CompiledRoute {
  readonly route: Route
  readonly pattern: RegExp
  readonly names: readonly (keyof Placeholders)[]
}

export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes.map(compile)
  return {
    find(method, path) {
      const allow: Method[] = []
      for (const candidate of compiled) {
        const found = candidate.pattern.exec(path)
        if (found === null) continue
        if (!candidate.route.methods.includes(method as Method)) {
          allow.push(...candidate.route.methods)
          continue
        }
        return { route: candidate.route, parameters: parse(candidate.names, found) }
      }
      if (allow.length > 0) throw new Fault('methodNotAllowed', { allow: [...new Set(allow)] })
      return undefined
    },
  }
}

function compile(route: Route): CompiledRoute {
  const names: (keyof Placeholders)[] = []
  const pattern = route.path.replaceAll(/[.+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (!(name in placeholders)) throw new Error(`unknown placeholder {${name}} in ${route.path}`)
    names.push(name as keyof Placeholders)
    return `(${placeholders[name as keyof Placeholders].pattern})`
  })
  return { route, pattern: new RegExp(`^${pattern}$`, 's'), names }
}

function parse(names: readonly (keyof Placeholders)[], found: RegExpExecArray): Record<string, unknown> {
  const parameters: Record<string, unknown> = {}
  names.forEach((name, index) => {
    parameters[name] = placeholders[name].parse(found[index + 1] ?? '')
  })
  return parameters
}

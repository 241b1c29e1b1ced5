/** Queries whose text never changes: written with Kysely like all others, but built and compiled once instead of for every read. */
import type { CompiledQuery, DialectAdapter, Kysely, QueryResult } from 'kysely'
import type { Tables } from './tables/index.ts'

export interface Parameter<Parameters> {
  /** Stands for the value of a parameter: `param('digest')`. */
  <Name extends keyof Parameters & string>(name: Name): Parameters[Name]
  /**
   * Stands for a list of so many values: `where('digest', 'in', param.list('digests', 50))`. See `ofLength`.
   */
  list<Name extends keyof Parameters & string>(name: Name, length: number): Parameters[Name]
}

export interface FixedQuery<Parameters, Row> {
  readonly build: (db: Kysely<Tables>, param: Parameter<Parameters>) => { compile(): CompiledQuery<Row> }
}

/**
 * `fixedQuery<{ digest: string }>()((db, param) => db.selectFrom('blobs').where('digest', '=', param('digest')).select('size'))`
 * The query may not look at a parameter's value while it is built: there is none yet.
 */
export function fixedQuery<Parameters extends object>() {
  return <Row>(build: FixedQuery<Parameters, Row>['build']): FixedQuery<Parameters, Row> => ({ build })
}

/**
 * Fixed queries that differ only in the length of a list; each is built when the first list of its length comes. Not for
 * lists of any length: what was built is kept. (To fill up one long list instead makes PostgreSQL read a small table
 * whole, and a serializable transaction that has done so conflicts with all others.)
 */
export function ofLength<Query>(build: (length: number) => Query): (length: number) => Query {
  const known = new Map<number, Query>()
  return (length) => {
    const query = known.get(length) ?? build(length)
    known.set(length, query)
    return query
  }
}

/** A query as its dialect spells it, and the names of its parameters in the order of their places. */
export interface CompiledFixedQuery {
  readonly compiled: CompiledQuery
  valuesOf(parameters: object): unknown[]
}

/** Keeps what was compiled; one for each database, because dialects differ. */
export class FixedQueries {
  readonly #db: Kysely<Tables>
  readonly #known = new WeakMap<FixedQuery<never, unknown>, CompiledFixedQuery>()

  /** db: compiles only, and need have no connection. */
  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  get<Parameters, Row>(query: FixedQuery<Parameters, Row>): CompiledFixedQuery {
    const known = this.#known.get(query as FixedQuery<never, unknown>)
    if (known !== undefined) return known
    const made = compile(this.#db, query)
    this.#known.set(query as FixedQuery<never, unknown>, made)
    return made
  }
}

const ofDatabases = new WeakMap<DialectAdapter, FixedQueries>()

/** Those of the database that a handle belongs to, however many handles it gives out. */
export function fixedQueriesOf(db: Kysely<Tables>): FixedQueries {
  const { adapter } = db.getExecutor()
  const known = ofDatabases.get(adapter) ?? new FixedQueries(db)
  ofDatabases.set(adapter, known)
  return known
}

/** As `Database.select`, but through the handle of a transaction, and for statements that write, too. */
export async function run<Parameters extends object, Row>(
  db: Kysely<Tables>,
  query: FixedQuery<Parameters, Row>,
  parameters: Parameters,
): Promise<QueryResult<Row>> {
  const { compiled, valuesOf } = fixedQueriesOf(db).get(query)
  return db.executeQuery<Row>({ ...compiled, parameters: valuesOf(parameters) } as CompiledQuery<Row>)
}

/** Throws where there is another number of rows than one. */
export function onlyRow<Row>({ rows: [row, ...more] }: QueryResult<Row>): Row {
  if (row === undefined || more.length > 0) throw new Error('one row was expected')
  return row
}

/** Where a parameter's value goes. */
class Place {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  valueIn(parameters: Readonly<Record<string, unknown>>): unknown {
    return parameters[this.name]
  }
}

/** Where one value of a list goes. */
class ListPlace extends Place {
  readonly #index: number
  readonly #length: number

  constructor(name: string, index: number, length: number) {
    super(name)
    this.#index = index
    this.#length = length
  }

  override valueIn(parameters: Readonly<Record<string, unknown>>): unknown {
    const list = parameters[this.name] as readonly unknown[]
    if (list.length !== this.#length) throw new Error(`${this.name} takes ${this.#length} values`)
    return list[this.#index]
  }
}

function compile<Parameters, Row>(db: Kysely<Tables>, { build }: FixedQuery<Parameters, Row>): CompiledFixedQuery {
  const param = Object.assign((name: string) => new Place(name), {
    list: (name: string, length: number) => Array.from({ length }, (_, index) => new ListPlace(name, index, length)),
  }) as unknown as Parameter<Parameters>
  const compiled = build(db, param).compile()
  const places = compiled.parameters
  return {
    compiled,
    valuesOf(parameters) {
      const values = parameters as Readonly<Record<string, unknown>>
      return places.map((place) => (place instanceof Place ? place.valueIn(values) : place))
    },
  }
}

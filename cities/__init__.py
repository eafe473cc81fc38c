"""City packs: the rules, names and texts of a city as data, validated when they are loaded.

    cities.loader     load_city("ezhou") -> City, load(folder) -> City
    cities.demo       load_demo(city): accounts and bills for the sandbox
    cities.messages   render(city, kind, values, on=day) -> Rendered
    cities.schema     the pack as a whole, of the shapes of its files: shapes, companies, paying, message_texts …
    cities.errors     what can be wrong

A pack is a folder of TOML files that people edit; the shapes are described in ``docs/city-pack.md``.
"""

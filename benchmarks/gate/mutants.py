"""How the gate's code is changed: one comparison, constant, sign or logical operator at a time.

The changes: a comparison at its border (< and <=), a comparison turned round (< and >), `and` and
`or`, a dropped `not`, `~` or minus, `min` and `max`, `any` and `all`, + and -, * and /, a number
by one. Not changed: texts, annotations, numbers in subscripts, digits to which a figure is rounded
for people.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BORDER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
TURNED = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
DROPPED = {ast.Not: "not dropped", ast.USub: "minus dropped"}
UNTOUCHED = ("round", "percent", "roughly")  # calls whose numbers are for people


@dataclass(frozen=True)
class Mutant:
    """One changed place; `source` is the whole module with it."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, always in the same order."""
    count = len(list(_places(ast.parse(source))))
    for number in range(count):
        tree = ast.parse(source)
        node, change, apply = list(_places(tree))[number]
        apply()
        yield Mutant(node.lineno, change, ast.unparse(ast.fix_missing_locations(tree)))


def _places(tree: ast.AST) -> Iterator[tuple[Any, str, Any]]:
    """Nodes that can be changed, what the change is, and how it is made."""
    for node in _code(tree):
        if isinstance(node, ast.Compare):
            for i, op in enumerate(node.ops):
                for table in (BORDER, TURNED):
                    if new := table.get(type(op)):
                        change = f"{type(op).__name__} -> {new.__name__}"
                        yield node, change, _setter(node.ops, i, new())
        elif isinstance(node, ast.BoolOp):
            new_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, f"-> {type(new_op).__name__}", _attribute(node, "op", new_op)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in DROPPED:
            yield node, DROPPED[type(node.op)], _attribute(node, "op", ast.UAdd())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            twice = ast.UnaryOp(ast.Invert(), node.operand)  # an array of bools knows no plus
            yield node, "~ dropped", _attribute(node, "operand", twice)
        elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            new = SIGNS[type(node.op)]
            yield node, f"-> {new.__name__}", _attribute(node, "op", new())
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
            name = NAMES[node.func.id]
            yield node, f"-> {name}", _attribute(node.func, "id", name)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value = node.value + 1 if isinstance(node.value, int) else node.value * 1.1 + 0.001
            yield node, f"{node.value} -> {value:g}", _attribute(node, "value", value)


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but texts for people, annotations and indices; of a Field its default alone."""
    yield tree
    children: list[ast.AST] = list(ast.iter_child_nodes(tree))
    if isinstance(tree, ast.JoinedStr):
        children = []
    elif isinstance(tree, ast.Subscript):
        chosen = isinstance(tree.slice, ast.Compare | ast.BoolOp | ast.UnaryOp)
        children = [tree.value, tree.slice] if chosen else [tree.value]
    elif isinstance(tree, ast.Call):
        name = getattr(tree.func, "id", getattr(tree.func, "attr", ""))
        if name == "Field":
            default = [k.value for k in tree.keywords if k.arg == "default"]
            children = [*tree.args[:1], *default]
        elif name in UNTOUCHED:
            children = []
    elif isinstance(tree, ast.AnnAssign):
        children = [tree.value] if tree.value is not None else []
    elif isinstance(tree, ast.FunctionDef):
        children = [*tree.decorator_list, *tree.args.defaults, *tree.body]
        children += [default for default in tree.args.kw_defaults if default is not None]
    for child in children:
        yield from _code(child)


def _setter(items: list[Any], index: int, value: Any) -> Any:
    return lambda: items.__setitem__(index, value)


def _attribute(node: Any, name: str, value: Any) -> Any:
    return lambda: setattr(node, name, value)

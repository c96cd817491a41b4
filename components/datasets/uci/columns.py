"""What the columns of each set are: the files hold numbers only. Names and units are those of their publications."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """A column of a set. unit: "" for a number without one."""

    name: str
    unit: str = ""


class Set(NamedTuple):
    """One regression problem: its columns in the file's order, the target last."""

    title: str
    features: tuple[Column, ...]
    target: Column


def _mix(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "kg/m3") for name in names)


SETS: dict[str, Set] = {
    "concrete": Set(
        "Compressive strength of concrete (Yeh 1998)",
        (
            *_mix("cement", "slag", "fly_ash", "water", "superplasticizer", "coarse_aggregate", "fine_aggregate"),
            Column("age", "days"),
        ),
        Column("strength", "MPa"),
    ),
    "energy": Set(
        "Heating load of simulated buildings (Tsanas and Xifara 2012)",
        (
            Column("relative_compactness"),
            Column("surface_area", "m2"),
            Column("wall_area", "m2"),
            Column("roof_area", "m2"),
            Column("height", "m"),
            Column("orientation"),
            Column("glazing_area"),
            Column("glazing_distribution"),
        ),
        Column("heating_load", "kWh/m2"),
    ),
    "kin8nm": Set(
        "Distance of a simulated robot arm's end from a target (DELVE)",
        tuple(Column(f"theta_{joint}", "rad") for joint in range(1, 9)),
        Column("distance"),
    ),
    "naval": Set(
        "Decay of a simulated ship's compressor (Coraddu et al. 2014)",
        (
            Column("lever_position"),
            Column("ship_speed", "knots"),
            Column("turbine_shaft_torque", "kN m"),
            Column("turbine_rate", "rpm"),
            Column("generator_rate", "rpm"),
            Column("starboard_propeller_torque", "kN"),
            Column("port_propeller_torque", "kN"),
            Column("turbine_exit_temperature", "C"),
            Column("compressor_inlet_temperature", "C"),
            Column("compressor_outlet_temperature", "C"),
            Column("turbine_exit_pressure", "bar"),
            Column("compressor_inlet_pressure", "bar"),
            Column("compressor_outlet_pressure", "bar"),
            Column("exhaust_pressure", "bar"),
            Column("injection_control", "%"),
            Column("fuel_flow", "kg/s"),
        ),
        Column("compressor_decay"),
    ),
    "power": Set(
        "Net output of a combined cycle power plant (Tufekci 2014)",
        (
            Column("ambient_temperature", "C"),
            Column("exhaust_vacuum", "cm Hg"),
            Column("ambient_pressure", "mbar"),
            Column("relative_humidity", "%"),
        ),
        Column("net_output", "MW"),
    ),
    "protein": Set(
        "Deviation of predicted protein structures (Rana 2013)",
        tuple(Column(f"f{number}") for number in range(1, 10)),
        Column("rmsd", "angstrom"),
    ),
    "wine": Set(
        "Quality of red wines as tasters grade it (Cortez et al. 2009)",
        (
            Column("fixed_acidity", "g/l"),
            Column("volatile_acidity", "g/l"),
            Column("citric_acid", "g/l"),
            Column("residual_sugar", "g/l"),
            Column("chlorides", "g/l"),
            Column("free_sulfur_dioxide", "mg/l"),
            Column("total_sulfur_dioxide", "mg/l"),
            Column("density", "g/ml"),
            Column("ph"),
            Column("sulphates", "g/l"),
            Column("alcohol", "%"),
        ),
        Column("quality"),
    ),
    "yacht": Set(
        "Residuary resistance of sailing yachts (Gerritsma et al. 1981)",
        (
            Column("buoyancy_position"),
            Column("prismatic_coefficient"),
            Column("length_displacement"),
            Column("beam_draught"),
            Column("length_beam"),
            Column("froude_number"),
        ),
        Column("resistance"),
    ),
    "diabetes": Set(
        "Progression of diabetes after a year (Efron et al. 2004): scikit-learn's table, the starter profile",
        (
            Column("age", "years"),
            Column("sex"),
            Column("body_mass_index"),
            Column("blood_pressure", "mm Hg"),
            Column("total_cholesterol", "mg/dl"),
            Column("low_density_lipoprotein", "mg/dl"),
            Column("high_density_lipoprotein", "mg/dl"),
            Column("cholesterol_ratio"),
            Column("log_triglycerides"),
            Column("glucose", "mg/dl"),
        ),
        Column("progression"),
    ),
}
"""By name. Boston housing is left out on purpose: docs/uncertainty.md says why."""

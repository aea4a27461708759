"""The home of two runs that the tests of the prediction API use too."""

from tests.housing.serving.conftest import own_home as own_home
from tests.housing.serving.conftest import own_store as own_store
